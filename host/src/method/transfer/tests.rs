use super::*;
use crate::evaluate::labels::Amount;
use crate::method::testing::{self, BATCH, below, check};
use tendon_model::augment::Recipe;
use tendon_model::parameters::{Named, collect_gradients, is_buffer};

/// Each window's text, as `fixtures/transfer.py` has them.
const OWN: [usize; BATCH] = [1, 3, 0, 1, 3];

fn config() -> TransferConfig {
    TransferConfig {
        temperature: 0.07,
        learn_temperature: true,
        least_temperature: 0.01,
        candidates: Candidates::All,
        labels: Amount::Share(1.0),
        draw: 0,
        view: Recipe::normal(),
    }
}

fn statement() -> Named {
    testing::statement("transfer")
}

/// The method at the statement's start.
fn method(config: TransferConfig) -> Transfer {
    let lessons = Lessons {
        texts: statement()["texts"].clone(),
        of_window: OWN.map(Some).to_vec(),
    };
    let (encoder, device) = (testing::encoder(), Device::flex());
    let material = (&lessons, BATCH);
    let mut method =
        Transfer::new(config, &encoder, testing::optimizer(), material, 1, &device).unwrap();
    let mut state = method.state();
    for (name, values) in testing::start()
        .into_iter()
        .chain(below(&statement(), "start."))
    {
        if let Some(old) = state.tensors.get_mut(&format!("online.{name}")) {
            *old = values;
        }
    }
    method.restore(&state).unwrap();
    method
}

fn drawn() -> Vec<Drawn> {
    let mut drawn = testing::drawn(&["query"]);
    drawn[0].numbers = (0..BATCH).collect();
    drawn
}

fn moment(step: u64) -> Moment {
    Moment {
        seed: 1,
        epoch: 0,
        step,
    }
}

fn step(method: &mut Transfer, number: u64) -> f32 {
    let loss = method.loss(&drawn(), &moment(number)).unwrap();
    let value = loss.value.clone().into_scalar();
    method.learn(&loss.value.backward(), testing::RATE);
    value
}

fn check_losses(candidates: Candidates, name: &str) -> Transfer {
    let mut method = method(TransferConfig {
        candidates,
        ..config()
    });
    for (number, expected) in (0..).zip(&statement()[name].data) {
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
    let method = check_losses(Candidates::All, "losses");
    let trained = collect(&method.online).into_iter();
    let trained = trained.filter(|(name, _)| !is_buffer(name)).collect();
    check(&trained, &below(&statement(), "after."));
}

#[test]
fn two_steps_among_the_steps_own_texts_equal_pytorch() {
    check_losses(Candidates::Step, "step");
}

#[test]
fn gradients_equal_pytorch() {
    let mut method = method(config());
    let loss = method.loss(&drawn(), &moment(0)).unwrap();
    let gradients = collect_gradients(&method.online, &loss.value.backward());
    check(&gradients, &below(&statement(), "gradient."));
}

#[test]
fn only_windows_with_an_embedding_are_drawn() {
    let lessons = Lessons {
        texts: statement()["texts"].clone(),
        of_window: vec![Some(2), None, Some(0), None],
    };
    assert_eq!(lessons.windows(), [0, 2]);
    let draws = method(config()).draws();
    assert_eq!((draws.len(), draws[0].pool), (1, Pool::Labelled));
}

#[test]
fn a_fixed_temperature_stays() {
    let mut method = method(TransferConfig {
        learn_temperature: false,
        ..config()
    });
    step(&mut method, 0);
    step(&mut method, 1);
    assert!((method.online.alignment.temperature() - 0.07).abs() < 1e-6);
}

#[test]
fn a_restored_method_takes_the_same_steps() {
    let mut first = method(config());
    step(&mut first, 0);
    let mut second = method(config());
    second.restore(&first.state()).unwrap();
    assert_eq!(step(&mut first, 1), step(&mut second, 1));
    assert_eq!(first.state(), second.state());
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let check = |change: fn(&mut TransferConfig), field: &str| {
        let mut config = config();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().field, field);
    };
    assert_eq!(config().validate(), Ok(()));
    check(|config| config.temperature = 0.001, "method.temperature");
    check(|config| config.temperature = f64::NAN, "method.temperature");
    check(
        |config| config.least_temperature = 0.0,
        "method.least_temperature",
    );
    check(|config| config.labels = Amount::Share(0.0), "method.labels");
}
