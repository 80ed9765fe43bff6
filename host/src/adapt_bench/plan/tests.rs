use super::*;

const TEXT: &str = r#"
    seeds = [0, 1]
    [[source]]
    name = "a"
    bundle = "a.tendon"
    data = "a.safetensors"
    split = "utd-mhad"
    [[domain]]
    name = "home"
    sources = ["a"]
    data = "a.safetensors"
    windows = "subjects=2"
    shift.tilt_degrees = 30.0
    shift.limbs.arms = 1.2
    [[stream]]
    name = "iid"
    order = "iid"
    [[method]]
    name = "ours"
    kind = "ours"
    set.gate.threshold = 0.9
"#;

fn parse(text: &str) -> Result<Plan, PlanError> {
    Plan::parse(text, Path::new("plan.toml"))
}

#[test]
fn reads_a_plan() {
    let plan = parse(TEXT).unwrap();
    let shift = plan.domains[0].shift;
    assert_eq!(
        (shift.tilt_degrees, shift.limbs.arms, shift.keep),
        (30.0, 1.2, 1)
    );
    assert_eq!((plan.streams[0].repeat, plan.methods[0].batch), (1, 1));
    let config = plan.methods[0]
        .configuration(Path::new("plan.toml"))
        .unwrap();
    let mut expect = AdaptConfig::default();
    expect.gate.threshold = 0.9;
    assert_eq!(config, expect);
}

#[test]
fn errors_name_the_file_and_the_key() {
    let check = |from: &str, to: &str, expect: &str| {
        let text = TEXT.replacen(from, to, 1);
        assert_ne!(text, TEXT, "{from}");
        let found = parse(&text).and_then(|plan| {
            let path = Path::new("plan.toml");
            plan.methods[0].configuration(path).map(|_| ())
        });
        let error = found.unwrap_err().to_string();
        assert!(
            error.contains("plan.toml") && error.contains(expect),
            "{error}"
        );
    };
    check("[0, 1]", "[]", "seeds");
    check("\"iid\"\n", "\"../iid\"\n", "stream.name");
    check("order = \"iid\"", "order = \"random\"", "random");
    check(
        "[\"a\"]",
        "[\"b\"]",
        "domain home.sources: there is no source \"b\"",
    );
    check("subjects=2", "persons=2", "persons");
    check("subjects=2", "nw-ucla-nothing", "nw-ucla-nothing");
    check("tilt_degrees = 30.0", "tilt = 30.0", "tilt");
    check(
        "tilt_degrees = 30.0",
        "tilt_degrees = nan",
        "domain home.shift.tilt_degrees",
    );
    check("tilt_degrees = 30.0", "keep = 0", "domain home.shift.keep");
    check(
        "kind = \"ours\"",
        "kind = \"ours\"\nbatch = 16",
        "method ours.batch",
    );
    check("kind = \"ours\"", "kind = \"none\"", "method ours.set");
    check("gate.threshold", "gate.treshold", "treshold");
    check(
        "gate.threshold = 0.9",
        "student.learning_rate = 0.1",
        "student.learning_rate",
    );
    check(
        "set.gate",
        "config = \"missing.toml\"\nset.gate",
        "method ours.config",
    );
}

#[test]
fn switches_lie_over_the_part_adapt_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    std::fs::write(
        folder.path().join("edge.toml"),
        "[window]\nspan_ms = 1000\n[adapt]\nmemory = 32\n[adapt.gate]\nthreshold = 0.7\nmin_quality = 0.5\n",
    )
    .unwrap();
    let text = TEXT.replace("set.gate", "config = \"edge.toml\"\nset.gate");
    let plan = Plan::parse(&text, &path).unwrap();
    let config = plan.methods[0].configuration(&path).unwrap();
    assert_eq!(
        (
            config.memory,
            config.gate.threshold,
            config.gate.min_quality
        ),
        (32, 0.9, 0.5)
    );
}

// Every switch of an ablation, and every file that a plan names.
#[test]
fn shipped_plans_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/adapt");
    let mut plans = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let plan = Plan::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let mut seen: Vec<(MethodKind, usize, Option<AdaptConfig>)> = Vec::new();
        for method in &plan.methods {
            let ours = method.kind == MethodKind::Ours;
            let config = ours.then(|| {
                method
                    .configuration(&path)
                    .unwrap_or_else(|e| panic!("{e}"))
            });
            let own = (method.kind, method.batch, config);
            assert!(
                !seen.contains(&own),
                "{}: {} is there twice",
                path.display(),
                method.name
            );
            seen.push(own);
        }
        plans += 1;
    }
    assert!(plans >= 2);
}
