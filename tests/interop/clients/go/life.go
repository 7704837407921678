// Keys in the version that client and server agree on, for the tester that judges clients.
package main

import (
	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipclient"
	"github.com/ovh/kmip-go/payloads"
)

const usage = kmip.CryptographicUsageEncrypt | kmip.CryptographicUsageDecrypt

func negotiate(arguments []string) *kmipclient.Client {
	client, err := kmipclient.Dial(arguments[0],
		kmipclient.WithRootCAFile(arguments[1]),
		kmipclient.WithClientCertFiles(arguments[2], arguments[3]),
	)
	if err != nil {
		panic(err)
	}
	return client
}

// create makes a key and does nothing else.
func create(arguments []string) {
	client := negotiate(arguments)
	defer client.Close()
	client.Create().AES(128, usage).MustExec()
}

func life(arguments []string) {
	client := negotiate(arguments)
	defer client.Close()
	id := client.Create().AES(256, usage).MustExec().UniqueIdentifier
	client.Activate(id).MustExec()
	client.Get(id).MustExec()
	client.GetAttributes(id).MustExec()
	client.Locate().WithObjectType(kmip.ObjectTypeSymmetricKey).MustExec()
	client.Query().All().MustExec()
	result := client.Create().AES(256, usage).
		Then(func(client *kmipclient.Client) kmipclient.PayloadBuilder {
			return client.Activate("")
		}).
		MustExec()
	client.Get(result[0].ResponsePayload.(*payloads.CreateResponsePayload).UniqueIdentifier).MustExec()
	client.Revoke(id).WithRevocationReasonCode(kmip.RevocationReasonCodeCessationOfOperation).MustExec()
	client.Destroy(id).MustExec()
}
