//! Does the steps of a trial once for each line of the standard input, and answers with a line of their
//! results.
//!
//! A line has HOST, PORT, the files of the authority, certificate and key, and two times a Unique
//! Identifier and its material. The client cannot store a key.

use std::fmt::Display;

use kmip_protocol::client::{tls::openssl, ClientCertificate, ConnectionSettings};
use kmip_protocol::types::common::KeyMaterial;
use kmip_protocol::types::response::ManagedObject;

fn main() {
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let job: Vec<&str> = line.split_whitespace().collect();
        println!("{}", trial(&job).map(|result| result.replace(['\n', '\t'], " ")).join("\t"));
    }
}

fn trial(job: &[&str]) -> [String; 4] {
    let read = |index: usize| std::fs::read(job[index]).expect("a file");
    let settings = ConnectionSettings {
        host: job[0].into(),
        port: job[1].parse().expect("a port"),
        ca_cert: Some(read(2)),
        client_cert: Some(ClientCertificate::SeparatePem {
            cert_bytes: read(3),
            key_bytes: Some(read(4)),
        }),
        ..Default::default()
    };
    let client = match openssl::connect(&settings) {
        Ok(client) => client,
        Err(error) => return [(); 4].map(|()| format!("error: {error}")),
    };
    let get = |identifier: &str| {
        client.get_key(identifier).map(|got| match got.cryptographic_object {
            ManagedObject::SymmetricKey(key) => match key.key_block.key_value.key_material {
                KeyMaterial::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
                _ => "no bytes".into(),
            },
            _ => "another object".into(),
        })
    };
    [
        attempt(|| client.query().map(|_| "done".into())),
        "-".into(),
        attempt(|| get(job[5])),
        attempt(|| get(job[7])),
    ]
}

fn attempt<E: Display>(step: impl FnOnce() -> Result<String, E>) -> String {
    step().unwrap_or_else(|error| format!("error: {error}"))
}
