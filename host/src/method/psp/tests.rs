use super::*;
use crate::evaluate::labels::Amount;
use crate::method::testing::{self, BATCH, PRESENCE, check};
use tendon_model::augment::Recipe;
use tendon_model::classifier::Classifier;
use tendon_model::encoder::EncoderKind;
use tendon_model::parameters::{Named, collect_gradients, is_buffer};

fn config() -> PspConfig {
    PspConfig {
        labels: Amount::PerClass(2),
        draw: 0,
        labelled: BATCH,
        together: true,
        temperature: 0.07,
        contrast_weight: 0.2,
        view: Recipe::default(),
    }
}

fn encoder(kind: EncoderKind) -> EncoderConfig {
    EncoderConfig {
        kind,
        streams: vec![Stream::Joint, Stream::Motion],
        shared_streams: true,
        dim: 8,
        ..testing::encoder()
    }
}

fn method(config: PspConfig, kind: EncoderKind) -> Psp {
    let material = Material {
        windows: 8,
        classes: 3,
        batch: BATCH,
    };
    let optimizer = OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 1e-4,
        clip_norm: None,
    };
    let (encoder, device) = (encoder(kind), Device::flex());
    Psp::new(config, &encoder, optimizer, material, 1, &device).unwrap()
}

/// Five labelled and five unlabelled windows, as `fixtures/psp.py` has them.
fn drawn() -> Vec<Drawn> {
    let mut labelled = testing::drawn(&["query", "key"]);
    labelled[0].labels = vec![0, 2, 1, 2, 0];
    labelled.extend(testing::drawn(&["extreme", "query"]));
    labelled
}

fn moment(step: u64) -> Moment {
    Moment {
        seed: 1,
        epoch: 0,
        step,
    }
}

fn statement() -> Named {
    testing::statement("psp")
}

/// Puts a statement's start into the networks.
fn begin(method: &mut Psp, start: &Named) {
    let mut state = method.state();
    for (name, values) in start {
        let old = state
            .tensors
            .insert(format!("online.{name}"), values.clone());
        assert!(old.is_some(), "{name}");
    }
    method.restore(&state).unwrap();
}

fn step(method: &mut Psp, step: u64) -> f32 {
    let loss = method.loss(&drawn(), &moment(step)).unwrap();
    let value = loss.value.clone().into_scalar();
    method.learn(&loss.value.backward(), testing::RATE);
    value
}

fn check_losses(kind: EncoderKind, together: bool, start: &str, losses: &str) -> Psp {
    let statement = statement();
    let config = PspConfig {
        together,
        ..config()
    };
    let mut method = method(config, kind);
    begin(&mut method, &testing::below(&statement, start));
    for (number, expected) in (0..).zip(&statement[losses].data) {
        let found = step(&mut method, number);
        assert!(
            (found / expected - 1.0).abs() < 1e-4,
            "{found} v {expected}"
        );
    }
    method
}

#[test]
fn two_steps_equal_pytorch() {
    let method = check_losses(EncoderKind::Dsta, true, "start.", "losses");
    let trained = collect(&method.online).into_iter();
    let trained = trained.filter(|(name, _)| !is_buffer(name)).collect();
    check(&trained, &testing::below(&statement(), "after."));
}

#[test]
fn two_steps_with_a_pass_for_each_stream_equal_pytorch() {
    check_losses(EncoderKind::Dsta, false, "start.", "losses_apart");
}

#[test]
fn two_steps_of_an_st_gcn_equal_pytorch() {
    check_losses(EncoderKind::StGcn, true, "st_gcn.", "losses_st_gcn");
}

#[test]
fn gradients_equal_pytorch() {
    let statement = statement();
    let mut method = method(config(), EncoderKind::Dsta);
    begin(&mut method, &testing::below(&statement, "start."));
    let loss = method.loss(&drawn(), &moment(0)).unwrap();
    let found = collect_gradients(&method.online, &loss.value.backward());
    check(&found, &testing::below(&statement, "gradient."));
}

#[test]
fn the_loss_is_the_labels_plus_a_share_of_all_levels() {
    let figures = |weight| {
        let config = PspConfig {
            contrast_weight: weight,
            ..config()
        };
        let loss = method(config, EncoderKind::Dsta).loss(&drawn(), &moment(0));
        let loss = loss.unwrap();
        let value = f64::from(loss.value.into_scalar::<f32>());
        (value, loss.figures)
    };
    let (value, found) = figures(0.5);
    let of = |name: &str| found.iter().find(|(figure, _)| *figure == name).unwrap().1;
    let contrast = of("body_contrast") + of("part_contrast") + of("joint_contrast");
    assert!((value - of("labelled_loss") - 0.5 * contrast).abs() < 1e-4 * value);
    let (value, _) = figures(0.0);
    assert!((value - of("labelled_loss")).abs() < 1e-4 * value);
}

// What a file of both streams judges by: `tendon eval classifier` sees the mean of embeddings.
#[test]
fn a_written_classifier_adds_the_logits_of_both_streams() {
    for kind in [EncoderKind::Dsta, EncoderKind::StGcn] {
        let method = method(config(), kind);
        let views = &testing::drawn(&["query", "key"])[0].views;
        let views = [views[0][0].clone(), views[1][0].clone()];
        let logits = |x, network: usize| {
            let model = Classifier {
                encoder: method.networks()[network].encoder.valid(),
                classifier: method.classifiers()[network].valid(),
            };
            model.forward(x, &PRESENCE, &mut Pass::Infer)
        };
        let stacked = Tensor::cat(views.to_vec(), 2);
        let [joint, motion] = views;
        let expected = logits(joint, 1) + logits(motion, 1);
        let largest = expected.clone().abs().max().into_scalar::<f32>();
        let apart = (logits(stacked, 0) - expected).abs().max();
        assert!(apart.into_scalar::<f32>() < 1e-5 * largest);
    }
}

#[test]
fn the_first_stream_alone_is_an_ordinary_encoder() {
    let method = method(config(), EncoderKind::StGcn);
    let [both, joint] = &method.networks()[..] else {
        unreachable!("two networks")
    };
    assert_eq!((both.name, both.streams.len()), ("", 2));
    assert_eq!(
        (joint.name, &joint.streams[..]),
        ("joint", &[Stream::Joint][..])
    );
    let alone = encoder(EncoderKind::StGcn).with_streams(joint.streams.clone());
    assert_eq!(alone.check_stacked_st_gcn(), Ok(()));
}

#[test]
fn every_part_learns_from_both_draws() {
    let mut method = method(config(), EncoderKind::Dsta);
    let before = collect(&method.online);
    step(&mut method, 0);
    let after = collect(&method.online);
    let still: Vec<_> = before
        .iter()
        .filter(|(name, old)| after[*name] == **old)
        .collect();
    // Biases before a BatchNorm have no gradient but for rounding.
    let idle = |name: &str| name.ends_with("temporal.bias");
    assert!(still.iter().all(|(name, _)| idle(name)), "{still:?}");
}

#[test]
fn a_restored_method_takes_the_same_steps() {
    let mut first = method(config(), EncoderKind::Dsta);
    step(&mut first, 0);
    let mut second = method(config(), EncoderKind::Dsta);
    second.restore(&first.state()).unwrap();
    assert_eq!(step(&mut first, 1), step(&mut second, 1));
    assert_eq!(first.state(), second.state());
}

#[test]
fn every_number_out_of_range_is_named() {
    let good = encoder(EncoderKind::Dsta);
    let check = |config: PspConfig, encoder: &EncoderConfig, expect: &str| {
        let error = config.validate(encoder).unwrap_err();
        assert_eq!(error.field, expect);
    };
    assert_eq!(config().validate(&good), Ok(()));
    let labels = Amount::Share(0.0);
    check(PspConfig { labels, ..config() }, &good, "method.labels");
    let labelled = 0;
    check(
        PspConfig {
            labelled,
            ..config()
        },
        &good,
        "method.labelled",
    );
    let temperature = 0.0;
    check(
        PspConfig {
            temperature,
            ..config()
        },
        &good,
        "method.temperature",
    );
    let contrast_weight = -1.0;
    check(
        PspConfig {
            contrast_weight,
            ..config()
        },
        &good,
        "method.contrast_weight",
    );
    let alone = good.clone().with_streams(vec![Stream::Joint]);
    check(config(), &alone, "encoder.streams");
    let odd = EncoderConfig { dim: 6, ..good };
    check(config(), &odd, "encoder.dim");
}
