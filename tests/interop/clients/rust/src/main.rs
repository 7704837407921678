//! Uses the KMIP client of NLnet Labs (kmip-protocol), as Krill does for its keys.
//!
//! Arguments: HOST, PORT, and the files of the authority, certificate and key.

use kmip_protocol::client::{tls::openssl, ClientCertificate, ConnectionSettings};
use kmip_protocol::types::response::ManagedObject;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let read = |index: usize| std::fs::read(&arguments[index]).expect("a file");
    let settings = ConnectionSettings {
        host: arguments[0].clone(),
        port: arguments[1].parse().expect("a port"),
        ca_cert: Some(read(2)),
        client_cert: Some(ClientCertificate::SeparatePem {
            cert_bytes: read(3),
            key_bytes: Some(read(4)),
        }),
        ..Default::default()
    };
    let client = openssl::connect(&settings).expect("a connection");

    let server = client.query().expect("Query");
    assert!(server.vendor_identification.is_some());
    assert!(server.operations.is_some());
    assert_eq!(client.rng_retrieve(32).expect("RNG Retrieve").data.len(), 32);

    let (private, public) = client
        .create_rsa_key_pair(2048, "rust private".into(), "rust public".into())
        .expect("Create Key Pair");
    client.activate_key(&private).expect("Activate");
    let signed = client.sign(&private, b"a zone").expect("Sign");
    assert_eq!(signed.signature_data.len(), 256);
    let key = client.get_key(&public).expect("Get");
    assert!(matches!(key.cryptographic_object, ManagedObject::PublicKey(_)));
    client.rename_key(&public, "rust renamed".into()).expect("Modify Attribute");
    client.revoke_key(&private).expect("Revoke");
    client.destroy_key(&private).expect("Destroy");
    client.destroy_key(&public).expect("Destroy");
    println!("done");
}
