use super::*;
use crate::transport::client::{Client, ClientError};
use crate::transport::faulty::{Faults, Faulty};
use crate::transport::loopback::{Loopback, pair};
use std::path::PathBuf;
use std::thread::JoinHandle;
use tendon_identity::authority::Authority;
use tendon_identity::line::{Answering, Taken};
use tendon_identity::token;

const PATIENCE: Patience = Patience {
    reply: Duration::from_millis(50),
    tries: 60,
};

/// A fleet with the device `kitchen`: the folder, the operator's file, the device.
pub(crate) fn fleet() -> (tempfile::TempDir, PathBuf, Identity) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let authority = Authority::init(&path("fleet"), "homes").unwrap();
    let token = authority.token("kitchen", [1; 16], 10).unwrap();
    let request = token::begin(&token, &path("pending")).unwrap();
    let reply = authority.admit(&request, 0).unwrap();
    let device = token::complete(&reply, &path("pending")).unwrap();
    let anna = path("anna");
    authority.operator("anna").unwrap().write(&anna).unwrap();
    (folder, anna, device)
}

/// A device that gives back every payload. It restarts after `payloads` of them, and forgets its session.
fn echo(mut line: Loopback, device: Identity, payloads: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let config = tls::server(&device).unwrap();
        let (mut answering, mut decoder) = (Answering::new(&config), Decoder::new());
        let (mut buffer, mut left) = ([0; 4096], payloads);
        while let Ok(length) = line.receive(&mut buffer, Duration::from_secs(5)) {
            for byte in &buffer[..length] {
                let Some(Ok(payload)) = decoder.push(*byte) else {
                    continue;
                };
                let answer = match answering.take(payload) {
                    Taken::Answer(answer) => answer,
                    Taken::Payload(_) if left == 0 => {
                        answering = Answering::new(&config);
                        continue;
                    }
                    Taken::Payload(payload) => {
                        left -= 1;
                        answering.seal(&payload).unwrap()
                    }
                    Taken::Nothing | Taken::Unknown => continue,
                };
                if line.send(&packed(&answer).unwrap()).is_err() {
                    return;
                }
            }
        }
    })
}

/// What comes back within a while; nothing when it got lost.
fn heard<L: Link>(link: &mut Sealed<L>) -> Result<Option<Vec<u8>>, LinkError> {
    let (mut decoder, mut buffer) = (Decoder::new(), [0; 64]);
    for _ in 0..200 {
        let length = link.receive(&mut buffer, Duration::from_millis(5))?;
        for byte in &buffer[..length] {
            if let Some(Ok(payload)) = decoder.push(*byte) {
                return Ok(Some(payload.to_vec()));
            }
        }
    }
    Ok(None)
}

#[test]
fn a_good_line_carries_every_packet_and_a_restarted_device_ends_the_session() {
    let (_folder, anna, device) = fleet();
    let (near, far) = pair();
    let device = echo(far, device, 2);
    let mut link = Sealed::open(near, "a line", &anna, Some("kitchen"), PATIENCE, 7).unwrap();
    for payload in [&b"one"[..], &[7; 1044]] {
        link.send(&packed(payload).unwrap()).unwrap();
        assert_eq!(heard(&mut link).unwrap().unwrap(), payload);
    }
    link.send(&packed(b"restart").unwrap()).unwrap();
    link.send(&packed(b"where are you").unwrap()).unwrap();
    assert!(matches!(heard(&mut link), Err(LinkError::Closed)));
    drop(link);
    device.join().unwrap();
}

#[test]
fn on_a_bad_line_the_handshake_gets_through_and_what_arrives_is_what_was_sent() {
    let (_folder, anna, device) = fleet();
    let (near, far) = pair();
    let device = echo(far, device, usize::MAX);
    let faults = Faults {
        drop: 0.1,
        flip: 1e-4,
        ..Faults::default()
    };
    let near = Faulty::new(near, faults, 3);
    let mut link = Sealed::open(near, "a line", &anna, None, PATIENCE, 7).unwrap();
    let mut arrived = 0;
    for number in 0..100_u8 {
        link.send(&packed(&[number; 100]).unwrap()).unwrap();
        if let Some(payload) = heard(&mut link).unwrap() {
            assert_eq!(payload, [number; 100]);
            arrived += 1;
        }
    }
    assert!(arrived > 60, "{arrived}");
    drop(link);
    device.join().unwrap();
}

#[test]
fn another_name_another_fleet_and_a_device_without_identity_are_refused_with_a_word() {
    let (_folder, anna, device) = fleet();
    let (_other, eve, _) = fleet();
    let refused = |identity: &Path, name, line| {
        let few = Patience {
            tries: 2,
            ..PATIENCE
        };
        let opened = Sealed::open(line, "a line", identity, name, few, 7);
        opened.map(|_| ()).unwrap_err().to_string()
    };
    for (identity, name) in [(&anna, Some("hall")), (&eve, None)] {
        let (near, far) = pair();
        let device = echo(far, device.clone(), 0);
        let error = refused(identity, name, near);
        assert!(error.contains("of that name"), "{error}");
        device.join().unwrap();
    }
    let (near, mut far) = pair();
    far.send(&packed(&[1, 2, 3]).unwrap()).unwrap();
    let error = refused(&anna, None, near);
    assert!(error.contains("everybody"), "{error}");
}

#[test]
fn a_client_that_does_not_say_who_it_is_hears_what_to_do() {
    use tendon_shared::protocol::error::WireError;
    use tendon_shared::protocol::{Envelope, Message, Response};
    let (near, mut far) = pair();
    let refusal = Message::Response(Response::Error(WireError::IdentityNeeded));
    let mut out = vec![0; PACKET_BYTES];
    let length = Envelope::new(1, refusal).encode(&mut out).unwrap();
    far.send(&out[..length]).unwrap();
    let error = Client::open(near, PATIENCE).map(|_| ()).unwrap_err();
    assert!(matches!(error, ClientError::Device(_)));
    assert!(error.to_string().contains("tls:IDENTITY@"), "{error}");
}
