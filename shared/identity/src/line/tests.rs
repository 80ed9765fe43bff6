use super::*;
use crate::authority::Authority;
use crate::identity::Identity;
use crate::{tls, token};
use proptest::prelude::*;

/// A device and an operator of one new fleet.
fn fleet(device: &str) -> (Identity, Identity) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::init(&folder.path().join("fleet"), "homes").unwrap();
    let pending = folder.path().join("pending");
    let token = authority.token(device, [1; 16], 10).unwrap();
    let request = token::begin(&token, &pending).unwrap();
    let reply = authority.admit(&request, 0).unwrap();
    let device = token::complete(&reply, &pending).unwrap();
    (device, authority.operator("anna").unwrap())
}

fn answering(device: &Identity) -> Answering {
    Answering::new(&tls::server(device).unwrap())
}

/// Asks until the handshake is at its end; of every packet `passes` says whether it arrives. What it took, in packets.
fn shake(
    operator: &mut Shake,
    device: &mut Answering,
    mut passes: impl FnMut() -> bool,
) -> Result<usize, LineError> {
    for packets in 1..1_000 {
        let asked = operator.next().bytes();
        if !passes() {
            continue;
        }
        let Taken::Answer(answer) = device.take(&asked) else {
            panic!("no answer");
        };
        if !passes() {
            continue;
        }
        let Some(Frame::Shake { at, have, data, .. }) = Frame::parse(&answer) else {
            panic!("{answer:?}");
        };
        operator.take(at, have, data)?;
        if operator.is_done() {
            return Ok(packets);
        }
    }
    panic!("it has no end");
}

fn opened(sealing: &mut Sealing, payload: &[u8]) -> Option<Vec<u8>> {
    match Frame::parse(payload) {
        Some(Frame::Sealed { number, body, .. }) => sealing.open(number, body),
        _ => None,
    }
}

#[test]
fn an_operator_and_a_device_of_one_fleet_understand_each_other() {
    let (device, anna) = fleet("kitchen");
    let mut device = answering(&device);
    assert_eq!(device.seal(b"news"), None);
    let mut operator = dial(tls::client(&anna).unwrap(), Some("kitchen"), 7).unwrap();
    assert!(shake(&mut operator, &mut device, || true).unwrap() < 8);
    let mut sealing = operator.sealing().unwrap();
    let asked = sealing.seal(b"how are you").unwrap();
    assert_eq!(asked.len(), b"how are you".len() + OVERHEAD);
    assert_eq!(device.take(&asked), Taken::Payload(b"how are you".to_vec()));
    let answer = device.seal(b"well").unwrap();
    assert_eq!(opened(&mut sealing, &answer), Some(b"well".to_vec()));
}

#[test]
fn others_are_let_in_by_nobody() {
    let (device, _) = fleet("kitchen");
    let (stranger, eve) = fleet("kitchen");
    let mut answering = answering(&device);
    // An operator of another fleet does not believe the device, and a device of this fleet is no operator.
    let mut operator = dial(tls::client(&eve).unwrap(), None, 7).unwrap();
    assert!(shake(&mut operator, &mut answering, || true).is_err());
    let mut other = dial(tls::client(&device).unwrap(), None, 8).unwrap();
    let outcome = shake(&mut other, &mut answering, || true);
    assert!(outcome.is_err() || answering.seal(b"x").is_none());
    assert_eq!(answering.seal(b"x"), None);
    // Nor does an operator take another device for the one that was asked for.
    let mut stranger = super::tests::answering(&stranger);
    let mut operator = dial(tls::client(&eve).unwrap(), Some("hall"), 9).unwrap();
    assert!(shake(&mut operator, &mut stranger, || true).is_err());
}

#[test]
fn a_packet_that_is_played_again_changed_or_plain_says_nothing() {
    let (device, anna) = fleet("kitchen");
    let mut device = answering(&device);
    let mut operator = dial(tls::client(&anna).unwrap(), None, 7).unwrap();
    shake(&mut operator, &mut device, || true).unwrap();
    let mut sealing = operator.sealing().unwrap();
    let (first, second) = (sealing.seal(b"one").unwrap(), sealing.seal(b"two").unwrap());
    for place in 0..second.len() {
        let mut changed = second.clone();
        changed[place] ^= 1;
        assert!(
            !matches!(device.take(&changed), Taken::Payload(_)),
            "{place}"
        );
    }
    assert_eq!(device.take(&second), Taken::Payload(b"two".to_vec()));
    assert_eq!(device.take(&second), Taken::Nothing);
    assert_eq!(device.take(&first), Taken::Nothing);
    assert_eq!(device.take(b"\x01plain"), Taken::Unknown);
}

#[test]
fn a_device_that_restarted_says_so_and_a_new_session_takes_over_only_when_it_is_complete() {
    let (identity, anna) = fleet("kitchen");
    let mut device = answering(&identity);
    let mut operator = dial(tls::client(&anna).unwrap(), None, 7).unwrap();
    shake(&mut operator, &mut device, || true).unwrap();
    let mut first = operator.sealing().unwrap();
    // Somebody begins a handshake and does not end it.
    let eve = dial(tls::client(&anna).unwrap(), None, 8).unwrap();
    assert!(matches!(device.take(&eve.next().bytes()), Taken::Answer(_)));
    let asked = first.seal(b"still there").unwrap();
    assert_eq!(device.take(&asked), Taken::Payload(b"still there".to_vec()));
    // The device restarts.
    let mut device = answering(&identity);
    let asked = first.seal(b"and now").unwrap();
    let lost = Frame::Lost { session: 7 }.bytes();
    assert_eq!(device.take(&asked), Taken::Answer(lost));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_handshake_gets_through_whatever_is_lost(seed in any::<u64>()) {
        let (device, anna) = fleet("kitchen");
        let mut device = answering(&device);
        let mut operator = dial(tls::client(&anna).unwrap(), None, seed).unwrap();
        let mut state = seed | 1;
        // Half of all packets are lost (xorshift).
        let passes = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state & 4 == 0
        };
        shake(&mut operator, &mut device, passes).unwrap();
        let sealed = operator.sealing().unwrap().seal(b"x").unwrap();
        prop_assert_eq!(device.take(&sealed), Taken::Payload(b"x".to_vec()));
    }

    #[test]
    fn any_payload_never_panics_a_device(payloads in prop::collection::vec((0xA0..0xA4_u8, prop::collection::vec(any::<u8>(), 0..200)), 1..8)) {
        let (device, _) = fleet("kitchen");
        let mut device = answering(&device);
        for (kind, mut payload) in payloads {
            payload.insert(0, kind);
            let taken = device.take(&payload);
            prop_assert!(!matches!(taken, Taken::Payload(_)));
        }
    }
}
