//! `tendon topologies`: the skeleton standards that Tendon knows.

use super::output::print;
use anyhow::Context as _;
use tendon_host::report::Table;
use tendon_shared::topology::{Topology, TopologyId};

/// List the skeleton standards that Tendon knows, or the joints of one in their order.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A standard's name, such as kinect20.
    name: Option<String>,
}

/// Prints one line a standard, or one a joint.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let table = match args.name {
        None => standards(),
        Some(name) => {
            let id = TopologyId::from_name(&name)
                .with_context(|| format!("there is no `{name}`; `tendon topologies` lists them"))?;
            joints(id.topology())
        }
    };
    print(table.text().trim_end())?;
    Ok(())
}

fn standards() -> Table {
    let mut table = Table::new(&["name", "joints", "bones", "centre"]);
    for id in TopologyId::ALL {
        let topology = id.topology();
        table.row(&[
            id.name().to_owned(),
            topology.joint_count().to_string(),
            topology.bones.len().to_string(),
            topology.joints[usize::from(topology.root)].to_owned(),
        ]);
    }
    table
}

fn joints(topology: &Topology) -> Table {
    let mut table = Table::new(&["joint", "number", "parent", "mirror"]);
    for (number, name) in topology.joints.iter().enumerate() {
        let parent = topology
            .bones
            .iter()
            .find(|(child, _)| usize::from(*child) == number);
        table.row(&[
            (*name).to_owned(),
            number.to_string(),
            parent.map_or("-".to_owned(), |(_, parent)| {
                topology.joints[usize::from(*parent)].to_owned()
            }),
            topology.joints[usize::from(topology.mirror[number])].to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_joint_of_every_standard_has_a_line() {
        for id in TopologyId::ALL {
            let text = joints(id.topology()).text();
            assert_eq!(
                text.trim_end().lines().count(),
                id.topology().joint_count() + 1
            );
        }
        assert!(standards().text().contains("ntu25"));
    }
}
