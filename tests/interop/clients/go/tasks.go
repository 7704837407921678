// The everyday tasks of docs/client.md. The lines between the comments "task" and "end" are those of
// that page. Its lines for fail-over are not here: this version of the module has no DialCluster yet.
package main

import (
	"bytes"
	"crypto/rand"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipclient"
	"github.com/ovh/kmip-go/payloads"
)

func tasks(arguments []string) {
	client := dial(arguments, kmip.V1_4)
	defer client.Close()
	id := createAndRead(client)
	locate(client, id)
	client.Activate(id).MustExec()
	encrypt(client, id)
	batch(client)
}

func createAndRead(client *kmipclient.Client) string {
	// task
	id := client.Create().
		AES(256, kmip.CryptographicUsageEncrypt|kmip.CryptographicUsageDecrypt).
		WithName("disk 1").WithAttribute("x-Owner", "storage").
		MustExec().UniqueIdentifier
	key := client.Get(id).MustExec().Object.(*kmip.SymmetricKey)
	data, err := key.KeyMaterial()
	if err != nil {
		panic(err)
	}
	// end
	require(len(data) == 32, "Get")
	return id
}

func locate(client *kmipclient.Client, id string) {
	// task
	found := client.Locate().WithAttribute("x-Owner", "storage").MustExec()
	ids := found.UniqueIdentifier
	// end
	require(len(ids) > 0 && ids[0] == id, "Locate")
}

func encrypt(client *kmipclient.Client, id string) {
	// task
	iv := make([]byte, kmip.AES_GCM.IVLength)
	rand.Read(iv)
	sealed := client.Encrypt(id).WithCryptographicParameters(kmip.AES_GCM).
		WithIvCounterNonce(iv).Data([]byte("secret")).MustExec()
	opened := client.Decrypt(id).WithCryptographicParameters(kmip.AES_GCM).
		WithIvCounterNonce(iv).WithAuthTag(sealed.AuthenticatedEncryptionTag).
		Data(sealed.Data).MustExec()
	// end
	require(bytes.Equal(opened.Data, []byte("secret")), "Decrypt")
}

func batch(client *kmipclient.Client) {
	// task
	result := client.Create().
		AES(256, kmip.CryptographicUsageEncrypt|kmip.CryptographicUsageDecrypt).
		Then(func(client *kmipclient.Client) kmipclient.PayloadBuilder {
			return client.Activate("")
		}).
		MustExec()
	id := result[0].ResponsePayload.(*payloads.CreateResponsePayload).UniqueIdentifier
	// end
	require(id != "", "a batch")
}
