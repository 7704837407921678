// A key server on ovh/kmip-go that keeps its keys in memory: what KMIP and TLS alone cost in Go.
//
// Argument: the folder of the certificates. It prints "ready PORT" when it listens.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipserver"
	"github.com/ovh/kmip-go/payloads"
)

type key struct {
	algorithm  kmip.CryptographicAlgorithm
	bits       int32
	material   []byte
	attributes []kmip.Attribute
	names      []string
	active     bool
}

type store struct {
	sync.RWMutex
	keys   map[string]*key
	byName map[string][]string
}

func (s *store) find(ctx context.Context, requested string) (string, *key, error) {
	id, err := kmipserver.GetIdOrPlaceholder(ctx, requested)
	if err != nil {
		return "", nil, err
	}
	s.RLock()
	defer s.RUnlock()
	found, ok := s.keys[id]
	if !ok {
		return "", nil, kmipserver.ErrItemNotFound
	}
	return id, found, nil
}

func (s *store) create(
	ctx context.Context, request *payloads.CreateRequestPayload,
) (*payloads.CreateResponsePayload, error) {
	made := &key{attributes: request.TemplateAttribute.Attribute}
	for _, attribute := range made.attributes {
		switch value := attribute.AttributeValue.(type) {
		case kmip.CryptographicAlgorithm:
			made.algorithm = value
		case int32:
			if attribute.AttributeName == kmip.AttributeNameCryptographicLength {
				made.bits = value
			}
		case kmip.Name:
			made.names = append(made.names, value.NameValue)
		}
	}
	made.material = make([]byte, made.bits/8)
	id := make([]byte, 16)
	rand.Read(made.material)
	rand.Read(id)
	text := fmt.Sprintf("%x", id)
	s.Lock()
	defer s.Unlock()
	s.keys[text] = made
	for _, name := range made.names {
		s.byName[name] = append(s.byName[name], text)
	}
	kmipserver.SetIdPlaceholder(ctx, text)
	return &payloads.CreateResponsePayload{
		ObjectType: request.ObjectType, UniqueIdentifier: text,
	}, nil
}

func (s *store) get(
	ctx context.Context, request *payloads.GetRequestPayload,
) (*payloads.GetResponsePayload, error) {
	id, found, err := s.find(ctx, request.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	return &payloads.GetResponsePayload{
		ObjectType:       kmip.ObjectTypeSymmetricKey,
		UniqueIdentifier: id,
		Object: &kmip.SymmetricKey{KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw,
			KeyValue: &kmip.KeyValue{Plain: &kmip.PlainKeyValue{
				KeyMaterial: kmip.KeyMaterial{Bytes: &found.material},
			}},
			CryptographicAlgorithm: found.algorithm,
			CryptographicLength:    found.bits,
		}},
	}, nil
}

func (s *store) getAttributes(
	ctx context.Context, request *payloads.GetAttributesRequestPayload,
) (*payloads.GetAttributesResponsePayload, error) {
	id, found, err := s.find(ctx, request.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	return &payloads.GetAttributesResponsePayload{
		UniqueIdentifier: id, Attribute: found.attributes,
	}, nil
}

func (s *store) locate(
	_ context.Context, request *payloads.LocateRequestPayload,
) (*payloads.LocateResponsePayload, error) {
	located := []string{}
	s.RLock()
	defer s.RUnlock()
	for _, attribute := range request.Attribute {
		if name, ok := attribute.AttributeValue.(kmip.Name); ok {
			located = append(located, s.byName[name.NameValue]...)
		}
	}
	return &payloads.LocateResponsePayload{UniqueIdentifier: located}, nil
}

func (s *store) setActive(ctx context.Context, requested string, active bool) (string, error) {
	id, found, err := s.find(ctx, requested)
	if err == nil {
		s.Lock()
		defer s.Unlock()
		found.active = active
	}
	return id, err
}

func (s *store) activate(
	ctx context.Context, request *payloads.ActivateRequestPayload,
) (*payloads.ActivateResponsePayload, error) {
	id, err := s.setActive(ctx, request.UniqueIdentifier, true)
	return &payloads.ActivateResponsePayload{UniqueIdentifier: id}, err
}

func (s *store) revoke(
	ctx context.Context, request *payloads.RevokeRequestPayload,
) (*payloads.RevokeResponsePayload, error) {
	id, err := s.setActive(ctx, request.UniqueIdentifier, false)
	return &payloads.RevokeResponsePayload{UniqueIdentifier: id}, err
}

func (s *store) destroy(
	ctx context.Context, request *payloads.DestroyRequestPayload,
) (*payloads.DestroyResponsePayload, error) {
	id, found, err := s.find(ctx, request.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	s.Lock()
	defer s.Unlock()
	if found.active {
		return nil, kmipserver.Errorf(kmip.ResultReasonPermissionDenied, "the key is active")
	}
	delete(s.keys, id)
	for _, name := range found.names {
		s.byName[name] = slices.DeleteFunc(s.byName[name], func(each string) bool { return each == id })
	}
	return &payloads.DestroyResponsePayload{UniqueIdentifier: id}, nil
}

func tlsSettings(folder string) *tls.Config {
	certificate, err := tls.LoadX509KeyPair(
		filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
	if err != nil {
		panic(err)
	}
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		panic(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    trusted,
	}
}

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	keys := &store{keys: map[string]*key{}, byName: map[string][]string{}}
	executor := kmipserver.NewBatchExecutor()
	executor.Route(kmip.OperationCreate, kmipserver.HandleFunc(keys.create))
	executor.Route(kmip.OperationGet, kmipserver.HandleFunc(keys.get))
	executor.Route(kmip.OperationGetAttributes, kmipserver.HandleFunc(keys.getAttributes))
	executor.Route(kmip.OperationLocate, kmipserver.HandleFunc(keys.locate))
	executor.Route(kmip.OperationActivate, kmipserver.HandleFunc(keys.activate))
	executor.Route(kmip.OperationRevoke, kmipserver.HandleFunc(keys.revoke))
	executor.Route(kmip.OperationDestroy, kmipserver.HandleFunc(keys.destroy))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("ready", listener.Addr().(*net.TCPAddr).Port)
	server := kmipserver.NewServer(tls.NewListener(listener, tlsSettings(os.Args[1])), executor)
	fmt.Fprintln(os.Stderr, server.Serve())
}
