package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipclient"
)

// trials does the steps of a trial once for each line of the standard input, and answers with a line of
// their results. A line has HOST, PORT, the files of the authority, certificate and key, and two times
// a Unique Identifier and its material.
func trials() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		results := trial(strings.Fields(lines.Text()))
		for i, result := range results {
			results[i] = strings.Join(strings.Fields(result), " ")
		}
		fmt.Println(strings.Join(results, "\t"))
	}
}

func trial(job []string) []string {
	client, err := kmipclient.Dial(job[0]+":"+job[1],
		kmipclient.WithRootCAFile(job[2]),
		kmipclient.WithClientCertFiles(job[3], job[4]),
	)
	if err != nil {
		failed := fmt.Sprint("error: ", err)
		return []string{failed, failed, failed, failed}
	}
	results := []string{
		attempt(func() (string, error) {
			_, err := client.Query().Operations().ServerInformation().Exec()
			return "done", err
		}),
		attempt(func() (string, error) {
			key := []byte("0123456789abcdef")
			_, err := client.Register().
				SymmetricKey(kmip.CryptographicAlgorithmAES, kmip.CryptographicUsageEncrypt, key).Exec()
			return "done", err
		}),
		attempt(func() (string, error) { return get(client, job[5]) }),
		attempt(func() (string, error) { return get(client, job[7]) }),
	}
	end(client)
	return results
}

// end closes a client. In v0.5.0, Close panics after the client has tried in vain to connect again.
func end(client *kmipclient.Client) {
	defer func() { recover() }()
	client.Close()
}

func attempt(step func() (string, error)) string {
	result, err := step()
	if err != nil {
		return fmt.Sprint("error: ", err)
	}
	return result
}

func get(client *kmipclient.Client, id string) (string, error) {
	got, err := client.Get(id).Exec()
	if err != nil {
		return "", err
	}
	key, isKey := got.Object.(*kmip.SymmetricKey)
	if !isKey {
		return "", fmt.Errorf("no key, but %T", got.Object)
	}
	material, err := key.KeyMaterial()
	return hex.EncodeToString(material), err
}
