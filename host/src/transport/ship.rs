//! Ships a bundle by the shortest way that the device takes, a difference from what it serves, else the whole; and packs.

use tendon_shared::protocol::error::{Next, WireError};

use super::client::{ClientError, Patience};
use super::deploy::{Delivered, Goods, Plan, Step, deliver};
use super::offer::{Difference, Pack, Parcel};
use super::{Link, LinkError};

/// What was shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// What it cost.
    pub delivered: Delivered,
    /// Bytes of the file that was sent: of the bundle, or of a difference.
    pub bytes: u32,
    /// Whether it was a difference.
    pub difference: bool,
}

/// Offers the `differences` one after another, shortest first, and the whole bundle if the device begins from none of them. The other
/// arguments are those of [`deliver`].
///
/// # Errors
/// [`ClientError`]: why the bundle is not on the device.
pub fn ship<L: Link>(
    mut connect: impl FnMut() -> Result<L, LinkError>,
    mut pause: impl FnMut(),
    patience: Patience,
    plan: Plan,
    parcel: &Parcel,
    differences: &[Difference],
    on_step: &mut dyn FnMut(Step),
) -> Result<Shipped, ClientError> {
    let mut shortest: Vec<&Difference> = differences.iter().collect();
    shortest.sort_by_key(|difference| difference.bytes.len());
    let ways = shortest.into_iter().map(Difference::goods);
    for goods in ways {
        match deliver(&mut connect, &mut pause, patience, plan, goods, on_step) {
            Err(error) if wants_another(&error) => {}
            outcome => return outcome.map(|delivered| shipped(delivered, &goods)),
        }
    }
    let goods = parcel.goods();
    deliver(connect, pause, patience, plan, goods, on_step)
        .map(|delivered| shipped(delivered, &goods))
}

const fn shipped(delivered: Delivered, goods: &Goods<'_>) -> Shipped {
    Shipped {
        delivered,
        bytes: goods.size(),
        difference: matches!(goods, Goods::Delta { .. }),
    }
}

/// Ships a pack as it is. The arguments are those of [`deliver`].
///
/// # Errors
/// [`PackError`]: why nothing of the pack is on the device. What arrived stays there; another call goes on from it.
pub fn ship_pack<L: Link>(
    connect: impl FnMut() -> Result<L, LinkError>,
    pause: impl FnMut(),
    patience: Patience,
    plan: Plan,
    pack: &Pack,
    on_step: &mut dyn FnMut(Step),
) -> Result<Delivered, PackError> {
    let delivered = deliver(connect, pause, patience, plan, pack.goods(), on_step);
    delivered.map_err(|error| match error {
        ClientError::Device(WireError::Unsupported | WireError::Malformed) => PackError::Unknown,
        error => PackError::Client(error),
    })
}

/// Why a pack, or the bundle in it, is not on the device.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The device's software is from before packs, or it takes none.
    #[error(
        "the device's software knows no packs: deploy the bundle itself (`tendon deploy model.tendon`), or update the device's software"
    )]
    Unknown,
    /// Anything else.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Whether the device may take the bundle another way. A device that knows no differences cannot read the offer and says so, every time.
fn wants_another(error: &ClientError) -> bool {
    match error {
        ClientError::Device(WireError::Unsupported | WireError::Malformed)
        | ClientError::NoAnswer { .. } => true,
        ClientError::Device(error) => error.next() == Next::SendWhole,
        _ => false,
    }
}
