//! Who gets into a fleet, and who talks to whom.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is missing"
)]

use proptest::prelude::*;
use rustls::{ClientConnection, ServerConnection};
use std::fs;
use std::path::Path;
use tendon_identity::IdentityError;
use tendon_identity::authority::Authority;
use tendon_identity::identity::Identity;
use tendon_identity::statement::{self, MAX_BYTES, Statement};
use tendon_identity::tls;
use tendon_identity::token::{self, Reply, Request, Token};

const NOW: u64 = 1_795_000_000;

fn fleet(folder: &Path, name: &str) -> Authority {
    Authority::init(&folder.join(name), name).unwrap()
}

/// Admits a device as operator and device do it together.
fn admitted(authority: &Authority, folder: &Path, device: &str) -> Identity {
    let token = authority.token(device, [7; 16], NOW + 60).unwrap();
    let token: Token = token.to_string().parse().unwrap();
    let pending = folder.join(format!("{device}.pending"));
    let request = token::begin(&token, &pending).unwrap();
    let request = Request::parse(&request.text()).unwrap();
    let reply = authority.admit(&request, NOW).unwrap();
    token::complete(&Reply::parse(&reply.text()).unwrap(), &pending).unwrap()
}

/// Lets both ends talk until nothing is left to say.
fn handshake(device: &Identity, operator: &Identity, name: Option<&str>) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut server = ServerConnection::new(tls::server(device).unwrap()).unwrap();
    let peer = tls::peer(name).unwrap();
    let mut client = ClientConnection::new(tls::client(operator).unwrap(), peer).unwrap();
    while server.wants_write() || client.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().map_err(|error| text(&error))?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().map_err(|error| text(&error))?;
        }
    }
    if client.is_handshaking() || server.is_handshaking() {
        return Err("the handshake did not end".into());
    }
    Ok(())
}

#[test]
fn an_operator_reaches_the_devices_of_the_fleet_and_knows_which() {
    let folder = tempfile::tempdir().unwrap();
    let authority = fleet(folder.path(), "homes");
    let authority = Authority::open(&folder.path().join("homes")).unwrap_or(authority);
    let kitchen = admitted(&authority, folder.path(), "kitchen");
    let hall = admitted(&authority, folder.path(), "hall");
    let operator = authority.operator("anna").unwrap();
    handshake(&kitchen, &operator, None).unwrap();
    handshake(&kitchen, &operator, Some("kitchen")).unwrap();
    let error = handshake(&hall, &operator, Some("kitchen")).unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
}

#[test]
fn others_are_turned_away_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let ours = fleet(folder.path(), "ours");
    // Of the same name, so that only the key tells them apart.
    let theirs = Authority::init(&folder.path().join("theirs"), "ours").unwrap();
    let device = admitted(&ours, folder.path(), "kitchen");
    let stranger = theirs.operator("anna").unwrap();
    assert!(handshake(&device, &stranger, None).is_err());
    let imposter = admitted(&theirs, folder.path(), "hall");
    let operator = ours.operator("anna").unwrap();
    assert!(handshake(&imposter, &operator, None).is_err());
    // A device is no operator, and an operator is no device.
    assert!(handshake(&device, &admitted(&ours, folder.path(), "bath"), None).is_err());
    assert!(handshake(&operator, &operator, None).is_err());
}

#[test]
fn a_token_admits_one_device_once_and_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let authority = fleet(folder.path(), "homes");
    let pending = folder.path().join("pending");
    let token = authority.token("kitchen", [1; 16], NOW + 60).unwrap();
    let request = token::begin(&token, &pending).unwrap();
    // The file got lost on the way: the same request again.
    assert_eq!(token::begin(&token, &pending).unwrap(), request);
    let late = authority.admit(&request, NOW + 60).unwrap_err();
    assert!(matches!(late, IdentityError::Late(_)), "{late}");
    let guessed = Token::new("kitchen", [2; 16], b"");
    let forged = token::begin(&guessed, &folder.path().join("other")).unwrap();
    let error = authority.admit(&forged, NOW).unwrap_err();
    assert!(matches!(error, IdentityError::Forged(_)), "{error}");
    // Somebody on the way puts a key of their own into the request.
    let mut swapped = request.clone();
    swapped.public = forged.public.clone();
    let error = authority.admit(&swapped, NOW).unwrap_err();
    assert!(matches!(error, IdentityError::Forged(_)), "{error}");
    authority.admit(&request, NOW).unwrap();
    let used = authority.admit(&request, NOW).unwrap_err();
    assert!(matches!(used, IdentityError::Used(_)), "{used}");
    let mut unknown = request;
    unknown.device = "hall".into();
    let error = authority.admit(&unknown, NOW).unwrap_err();
    assert!(matches!(error, IdentityError::NoToken(_)), "{error}");
    assert_eq!(authority.devices().unwrap(), [("kitchen".to_owned(), true)]);
}

#[test]
fn a_device_takes_only_its_own_fleets_reply_for_its_own_key() {
    let folder = tempfile::tempdir().unwrap();
    let ours = fleet(folder.path(), "ours");
    let theirs = fleet(folder.path(), "theirs");
    let pending = folder.path().join("pending");
    let token = ours.token("kitchen", [1; 16], NOW + 60).unwrap();
    let request = token::begin(&token, &pending).unwrap();
    let good = ours.admit(&request, NOW).unwrap();
    theirs.token("kitchen", [1; 16], NOW + 60).unwrap();
    let foreign = theirs.admit(&request, NOW).unwrap();
    let mixed = Reply {
        authority: good.authority.clone(),
        ..foreign.clone()
    };
    let other = folder.path().join("other");
    let token = ours.token("kitchen", [3; 16], NOW + 60).unwrap();
    let others = ours
        .admit(&token::begin(&token, &other).unwrap(), NOW)
        .unwrap();
    for reply in [&foreign, &mixed, &others] {
        let error = token::complete(reply, &pending).unwrap_err();
        assert!(matches!(error, IdentityError::Foreign), "{error}");
    }
    token::complete(&good, &pending).unwrap();
}

#[test]
fn files_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let authority = fleet(folder.path(), "homes");
    let path = folder.path().join("anna.json");
    let operator = authority.operator("anna").unwrap();
    operator.write(&path).unwrap();
    assert_eq!(Identity::read(&path).unwrap(), operator);
    assert!(!format!("{operator:?}").contains("key"));
    let error = Authority::init(&folder.path().join("homes"), "homes").unwrap_err();
    assert!(matches!(error, IdentityError::Exists(_)), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("homes/authority.json")), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identity::read(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn other_texts_are_no_tokens() {
    let text = Token::new("kitchen", [1; 16], b"").to_string();
    assert_eq!(text.parse::<Token>().unwrap().to_string(), text);
    for other in [
        "",
        "kitchen",
        &text[..text.len() - 1],
        &format!("{text}.x"),
        "K.00.00",
    ] {
        assert!(other.parse::<Token>().is_err(), "{other}");
    }
}

/// The file of a statement with one field's value exchanged.
fn exchanged(file: &str, field: &str, value: &str) -> String {
    let mut json: serde_json::Value = serde_json::from_str(file).unwrap();
    json[field] = value.into();
    json.to_string()
}

fn field(file: &str, field: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(file).unwrap();
    json[field].as_str().unwrap().to_owned()
}

#[test]
fn a_statement_is_believed_from_a_device_of_the_fleet_under_its_own_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let authority = fleet(folder.path(), "homes");
    let others = fleet(folder.path(), "others");
    let kitchen = admitted(&authority, folder.path(), "kitchen");
    let hall = admitted(&authority, folder.path(), "hall");
    let stranger = admitted(&others, folder.path(), "kitchen");
    let operator = authority.operator("kitchen").unwrap();
    let home = authority.certificate();
    let text = "{\"serves\": 3}\n";
    let file = statement::sign(&kitchen, text).unwrap();
    let expect = Statement {
        device: "kitchen".into(),
        text: text.into(),
    };
    assert_eq!(statement::open(file.as_bytes(), home).unwrap(), expect);

    let refused =
        |file: &str, authority: &[u8]| statement::open(file.as_bytes(), authority).unwrap_err();
    let other_fleet = |error: &IdentityError| matches!(error, IdentityError::OtherFleet(_));
    let unsigned = |error: &IdentityError| matches!(error, IdentityError::Unsigned(_));
    // Another fleet's device, an operator of this name, and this device for another fleet.
    let foreign = statement::sign(&stranger, text).unwrap();
    assert!(other_fleet(&refused(&foreign, home)));
    assert!(other_fleet(&refused(&file, others.certificate())));
    let operators = statement::sign(&operator, text).unwrap();
    assert!(other_fleet(&refused(&operators, home)));
    // Another device's certificate, under either name, and another device's name.
    let halls = statement::sign(&hall, text).unwrap();
    let certificate = field(&halls, "certificate");
    assert!(other_fleet(&refused(
        &exchanged(&file, "certificate", &certificate),
        home
    )));
    assert!(other_fleet(&refused(
        &exchanged(&file, "device", "hall"),
        home
    )));
    let both = exchanged(&file, "certificate", &certificate);
    assert!(unsigned(&refused(
        &exchanged(&both, "device", "hall"),
        home
    )));
    // Another signature, another text.
    let signature = field(&halls, "signature");
    assert!(unsigned(&refused(
        &exchanged(&file, "signature", &signature),
        home
    )));
    assert!(unsigned(&refused(
        &exchanged(&file, "statement", "{}"),
        home
    )));
    // A stranger's signature and certificate are not helped by this fleet's name.
    assert!(matches!(refused("{}", home), IdentityError::Statement(_)));
    let long = "x".repeat(MAX_BYTES);
    assert!(statement::sign(&kitchen, &long).is_err());
    assert!(statement::open(&vec![b' '; MAX_BYTES + 1], home).is_err());
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let authority = fleet(folder.path(), "homes");
    let kitchen = admitted(&authority, folder.path(), "kitchen");
    let text = "{\"floor\": 7}";
    let file = statement::sign(&kitchen, text).unwrap().into_bytes();
    let mut refused = 0;
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << (at % 8);
        match statement::open(&flipped, authority.certificate()) {
            // A capital of a hexadecimal digit, or other white space.
            Ok(same) => assert_eq!(
                (same.device.as_str(), same.text.as_str()),
                ("kitchen", text)
            ),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > file.len() * 9 / 10, "{refused} of {}", file.len());
}

proptest! {
    #[test]
    fn any_bytes_as_a_statement_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), certificate in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(statement::open(&bytes, &certificate).is_err());
        let text = String::from_utf8_lossy(&bytes);
        let hex = tendon_bundle::hex::encode(&certificate);
        let file = serde_json::json!({ "device": "kitchen", "certificate": hex, "signature": hex, "statement": text });
        prop_assert!(statement::open(file.to_string().as_bytes(), &certificate).is_err());
    }
}
