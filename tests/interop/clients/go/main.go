// Uses the KMIP client of ovh/kmip-go and the KMIP wrapper of OpenBao, as their documents show.
//
// Arguments: what to do, HOST:PORT, and the files of the authority, certificate and key; or "trials".
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	wrapping "github.com/openbao/go-kms-wrapping/v2"
	wrapper "github.com/openbao/go-kms-wrapping/wrappers/kmip/v2"
	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipclient"
)

var plain = []byte("a database key")

func require(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func dial(arguments []string, version kmip.ProtocolVersion) *kmipclient.Client {
	client, err := kmipclient.Dial(arguments[0],
		kmipclient.WithRootCAFile(arguments[1]),
		kmipclient.WithClientCertFiles(arguments[2], arguments[3]),
		kmipclient.WithKmipVersions(version),
	)
	if err != nil {
		panic(err)
	}
	return client
}

// keys creates, uses and ends keys in one version.
func keys(client *kmipclient.Client, version kmip.ProtocolVersion) {
	name := fmt.Sprintf("go %v", version)
	usage := kmip.CryptographicUsageEncrypt | kmip.CryptographicUsageDecrypt
	id := client.Create().AES(256, usage).WithName(name).
		WithAttribute("x-Purpose", "test").MustExec().UniqueIdentifier
	client.Activate(id).MustExec()
	found := client.Locate().WithName(name).MustExec()
	require(len(found.UniqueIdentifier) == 1 && found.UniqueIdentifier[0] == id, "Locate")
	key := client.Get(id).MustExec()
	require(key.ObjectType == kmip.ObjectTypeSymmetricKey, "Get")
	attributes := client.GetAttributes(id).MustExec()
	require(len(attributes.Attribute) > 8, "Get Attributes")
	client.AddAttribute(id, kmip.AttributeNameContactInformation, "me").MustExec()
	client.ModifyAttribute(id, kmip.AttributeNameContactInformation, "you").MustExec()
	client.DeleteAttribute(id, kmip.AttributeNameContactInformation).MustExec()
	names := client.GetAttributeList(id).MustExec()
	require(len(names.AttributeName) > 8, "Get Attribute List")
	if version.ProtocolVersionMinor >= 2 {
		gcm(client, id)
		sign(client)
	}
	client.Revoke(id).WithRevocationReasonCode(kmip.RevocationReasonCodeCessationOfOperation).MustExec()
	client.Destroy(id).MustExec()
}

// gcm encrypts with GCM. Before 1.4 the tag has no field, so it must be a part of the data.
func gcm(client *kmipclient.Client, id string) {
	parameters := kmip.CryptographicParameters{
		CryptographicAlgorithm: kmip.CryptographicAlgorithmAES,
		BlockCipherMode:        kmip.BlockCipherModeGCM,
		TagLength:              16,
	}
	iv := make([]byte, 12)
	sealed := client.Encrypt(id).WithCryptographicParameters(parameters).WithIvCounterNonce(iv).
		Data(plain).MustExec()
	opening := client.Decrypt(id).WithCryptographicParameters(parameters).WithIvCounterNonce(iv)
	if len(sealed.AuthenticatedEncryptionTag) > 0 {
		opening = opening.WithAuthTag(sealed.AuthenticatedEncryptionTag)
	}
	opened := opening.Data(sealed.Data).MustExec()
	require(bytes.Equal(opened.Data, plain), "Decrypt")
}

func sign(client *kmipclient.Client) {
	pair := client.CreateKeyPair().
		ECDSA(kmip.RecommendedCurveP_256, kmip.CryptographicUsageSign, kmip.CryptographicUsageVerify).
		MustExec()
	client.Activate(pair.PrivateKeyUniqueIdentifier).MustExec()
	client.Activate(pair.PublicKeyUniqueIdentifier).MustExec()
	parameters := kmip.CryptographicParameters{
		DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmECDSAWithSHA256,
	}
	signature := client.Sign(pair.PrivateKeyUniqueIdentifier).WithCryptographicParameters(parameters).
		Data(plain).MustExec().SignatureData
	verified := client.SignatureVerify(pair.PublicKeyUniqueIdentifier).
		WithCryptographicParameters(parameters).Data(plain).Signature(signature).MustExec()
	require(verified.ValidityIndicator == kmip.ValidityIndicatorValid, "Signature Verify")
}

// wrap seals and opens data as OpenBao does with its seal "kmip".
func wrap(arguments []string) {
	client := dial(arguments, kmip.V1_4)
	usage := kmip.CryptographicUsageEncrypt | kmip.CryptographicUsageDecrypt
	id := client.Create().AES(256, usage).WithName("go seal").MustExec().UniqueIdentifier
	client.Activate(id).MustExec()
	seal := wrapper.NewWrapper()
	_, err := seal.SetConfig(context.Background(),
		wrapper.WithEndpoint(arguments[0]),
		wrapper.WithCaCert(arguments[1]),
		wrapper.WithClientCert(arguments[2]),
		wrapper.WithClientKey(arguments[3]),
		wrapper.WithServerName("127.0.0.1"),
		wrapper.WithCryptoParams("AES_GCM"),
		wrapping.WithKeyId(id),
	)
	if err != nil {
		panic(err)
	}
	sealed, err := seal.Encrypt(context.Background(), plain)
	if err != nil {
		panic(err)
	}
	opened, err := seal.Decrypt(context.Background(), sealed)
	if err != nil {
		panic(err)
	}
	require(bytes.Equal(opened, plain), "the wrapper opens what it has sealed")
}

func main() {
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "keys":
		versions := []kmip.ProtocolVersion{kmip.V1_0, kmip.V1_1, kmip.V1_2, kmip.V1_3, kmip.V1_4}
		for _, version := range versions {
			client := dial(arguments, version)
			keys(client, version)
			client.Close()
		}
	case "create":
		create(arguments)
	case "life":
		life(arguments)
	case "wrap":
		wrap(arguments)
	case "tasks":
		tasks(arguments)
	case "trials":
		trials()
		return
	}
	fmt.Println("done")
}
