// A small key server as its author would write it with the server package of ovh/kmip-go: messages,
// batches, versions and the ID Placeholder are the library's; the keys and their attributes are ours.
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
	"reflect"
	"sync"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/kmipserver"
	"github.com/ovh/kmip-go/payloads"
)

var operations = []kmip.Operation{
	kmip.OperationCreate, kmip.OperationLocate, kmip.OperationGet, kmip.OperationGetAttributes,
	kmip.OperationGetAttributeList, kmip.OperationActivate, kmip.OperationRevoke,
	kmip.OperationDestroy, kmip.OperationQuery, kmip.OperationDiscoverVersions,
}

type key struct {
	material   []byte
	attributes []kmip.Attribute
}

func (k *key) get(name kmip.AttributeName) any {
	for _, attribute := range k.attributes {
		if attribute.AttributeName == name {
			return attribute.AttributeValue
		}
	}
	return nil
}

func (k *key) set(name kmip.AttributeName, value any) {
	for i := range k.attributes {
		if k.attributes[i].AttributeName == name {
			k.attributes[i].AttributeValue = value
			return
		}
	}
	k.attributes = append(k.attributes, kmip.Attribute{AttributeName: name, AttributeValue: value})
}

func (k *key) state() kmip.State {
	return k.get(kmip.AttributeNameState).(kmip.State)
}

type store struct {
	sync.Mutex
	keys  map[string]*key
	order []string
}

// find returns the key that a request names, or that of the ID Placeholder.
func (s *store) find(ctx context.Context, requested string) (string, *key, error) {
	id, err := kmipserver.GetIdOrPlaceholder(ctx, requested)
	if err != nil {
		return "", nil, err
	}
	found, ok := s.keys[id]
	if !ok {
		return "", nil, kmipserver.ErrItemNotFound
	}
	return id, found, nil
}

func now() time.Time {
	return time.Now().Truncate(time.Second)
}

func invalid(text string) error {
	return kmipserver.Errorf(kmip.ResultReasonInvalidField, "%s", text)
}

func (s *store) isNamed(name kmip.Name) bool {
	for _, other := range s.keys {
		for _, attribute := range other.attributes {
			if value, ok := attribute.AttributeValue.(kmip.Name); ok && value == name {
				return true
			}
		}
	}
	return false
}

func (s *store) create(
	ctx context.Context, request *payloads.CreateRequestPayload,
) (*payloads.CreateResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	if request.ObjectType != kmip.ObjectTypeSymmetricKey {
		return nil, invalid("only symmetric keys can be created")
	}
	made := &key{}
	for _, attribute := range request.TemplateAttribute.Attribute {
		if name, ok := attribute.AttributeValue.(kmip.Name); ok && s.isNamed(name) {
			return nil, invalid("the name is in use")
		}
		made.attributes = append(made.attributes, attribute)
	}
	bits, _ := made.get(kmip.AttributeNameCryptographicLength).(int32)
	if algorithm := made.get(kmip.AttributeNameCryptographicAlgorithm); algorithm != kmip.CryptographicAlgorithmAES {
		return nil, invalid("the Cryptographic Algorithm has to be AES")
	}
	if bits != 128 && bits != 192 && bits != 256 {
		return nil, invalid("an AES key has 128, 192 or 256 bits")
	}
	if made.get(kmip.AttributeNameCryptographicUsageMask) == nil {
		return nil, invalid("the Cryptographic Usage Mask is missing")
	}
	made.material = make([]byte, bits/8)
	random := make([]byte, 16)
	rand.Read(made.material)
	rand.Read(random)
	id := fmt.Sprintf("%x", random)
	made.set(kmip.AttributeNameUniqueIdentifier, id)
	made.set(kmip.AttributeNameObjectType, kmip.ObjectTypeSymmetricKey)
	made.set(kmip.AttributeNameState, kmip.StatePreActive)
	made.set(kmip.AttributeNameInitialDate, now())
	made.set(kmip.AttributeNameLastChangeDate, now())
	if at, ok := made.get(kmip.AttributeNameActivationDate).(time.Time); ok && !at.After(now()) {
		made.set(kmip.AttributeNameState, kmip.StateActive)
	}
	s.keys[id] = made
	s.order = append([]string{id}, s.order...)
	kmipserver.SetIdPlaceholder(ctx, id)
	return &payloads.CreateResponsePayload{
		ObjectType: request.ObjectType, UniqueIdentifier: id,
	}, nil
}

func (s *store) get(
	ctx context.Context, request *payloads.GetRequestPayload,
) (*payloads.GetResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	id, found, err := s.find(ctx, request.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	if request.KeyFormatType != 0 && request.KeyFormatType != kmip.KeyFormatTypeRaw {
		return nil, kmipserver.Errorf(
			kmip.ResultReasonKeyFormatTypeNotSupported, "keys are Raw")
	}
	if request.KeyWrappingSpecification != nil {
		return nil, kmipserver.Errorf(kmip.ResultReasonFeatureNotSupported, "keys are not wrapped")
	}
	if found.material == nil {
		return nil, kmipserver.Errorf(kmip.ResultReasonPermissionDenied, "the key is destroyed")
	}
	return &payloads.GetResponsePayload{
		ObjectType:       kmip.ObjectTypeSymmetricKey,
		UniqueIdentifier: id,
		Object: &kmip.SymmetricKey{KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw,
			KeyValue: &kmip.KeyValue{Plain: &kmip.PlainKeyValue{
				KeyMaterial: kmip.KeyMaterial{Bytes: &found.material},
			}},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmAES,
			CryptographicLength:    int32(len(found.material) * 8),
		}},
	}, nil
}

func (s *store) getAttributes(
	ctx context.Context, request *payloads.GetAttributesRequestPayload,
) (*payloads.GetAttributesResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	id, found, err := s.find(ctx, request.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	response := &payloads.GetAttributesResponsePayload{UniqueIdentifier: id}
	for _, attribute := range found.attributes {
		wanted := len(request.AttributeName) == 0
		for _, name := range request.AttributeName {
			wanted = wanted || name == attribute.AttributeName
		}
		if wanted {
			response.Attribute = append(response.Attribute, attribute)
		}
	}
	return response, nil
}

func (s *store) getAttributeList(
	ctx context.Context, request *payloads.GetAttributeListRequestPayload,
) (*payloads.GetAttributeListResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	id, found, err := s.find(ctx, request.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	response := &payloads.GetAttributeListResponsePayload{UniqueIdentifier: id}
	listed := map[kmip.AttributeName]bool{}
	for _, attribute := range found.attributes {
		if !listed[attribute.AttributeName] {
			response.AttributeName = append(response.AttributeName, attribute.AttributeName)
		}
		listed[attribute.AttributeName] = true
	}
	return response, nil
}

func (k *key) matches(wanted kmip.Attribute) bool {
	for _, attribute := range k.attributes {
		if attribute.AttributeName == wanted.AttributeName &&
			reflect.DeepEqual(attribute.AttributeValue, wanted.AttributeValue) {
			return true
		}
	}
	return false
}

func (s *store) locate(
	ctx context.Context, request *payloads.LocateRequestPayload,
) (*payloads.LocateResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	response := &payloads.LocateResponsePayload{}
	for _, id := range s.order {
		fits := true
		for _, wanted := range request.Attribute {
			fits = fits && s.keys[id].matches(wanted)
		}
		full := request.MaximumItems > 0 && len(response.UniqueIdentifier) >= int(request.MaximumItems)
		if fits && !full {
			response.UniqueIdentifier = append(response.UniqueIdentifier, id)
		}
	}
	if len(response.UniqueIdentifier) == 1 {
		kmipserver.SetIdPlaceholder(ctx, response.UniqueIdentifier[0])
	}
	return response, nil
}

// enter moves a key into a state, which it must reach from one of some others.
func (s *store) enter(
	ctx context.Context, requested string, state kmip.State, date kmip.AttributeName, from ...kmip.State,
) (string, *key, error) {
	id, found, err := s.find(ctx, requested)
	if err != nil {
		return "", nil, err
	}
	for _, each := range from {
		if found.state() == each {
			found.set(kmip.AttributeNameState, state)
			found.set(date, now())
			found.set(kmip.AttributeNameLastChangeDate, now())
			return id, found, nil
		}
	}
	return "", nil, kmipserver.Errorf(
		kmip.ResultReasonPermissionDenied, "not possible in the state of the key")
}

func (s *store) activate(
	ctx context.Context, request *payloads.ActivateRequestPayload,
) (*payloads.ActivateResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	id, _, err := s.enter(ctx, request.UniqueIdentifier,
		kmip.StateActive, kmip.AttributeNameActivationDate, kmip.StatePreActive)
	if err != nil {
		return nil, err
	}
	return &payloads.ActivateResponsePayload{UniqueIdentifier: id}, nil
}

func (s *store) revoke(
	ctx context.Context, request *payloads.RevokeRequestPayload,
) (*payloads.RevokeResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	state, date := kmip.StateDeactivated, kmip.AttributeNameDeactivationDate
	from := []kmip.State{kmip.StateActive}
	switch request.RevocationReason.RevocationReasonCode {
	case kmip.RevocationReasonCodeKeyCompromise, kmip.RevocationReasonCodeCACompromise:
		state, date = kmip.StateCompromised, kmip.AttributeNameCompromiseDate
		from = append(from, kmip.StatePreActive, kmip.StateDeactivated)
	}
	id, found, err := s.enter(ctx, request.UniqueIdentifier, state, date, from...)
	if err != nil {
		return nil, err
	}
	found.set(kmip.AttributeNameRevocationReason, request.RevocationReason)
	if request.CompromiseOccurrenceDate != nil {
		found.set(kmip.AttributeNameCompromiseOccurrenceDate, *request.CompromiseOccurrenceDate)
	}
	return &payloads.RevokeResponsePayload{UniqueIdentifier: id}, nil
}

func (s *store) destroy(
	ctx context.Context, request *payloads.DestroyRequestPayload,
) (*payloads.DestroyResponsePayload, error) {
	s.Lock()
	defer s.Unlock()
	id, found, err := s.find(ctx, request.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	state := kmip.StateDestroyed
	if found.state() == kmip.StateCompromised {
		state = kmip.StateDestroyedCompromised
	}
	_, _, err = s.enter(ctx, id, state, kmip.AttributeNameDestroyDate,
		kmip.StatePreActive, kmip.StateDeactivated, kmip.StateCompromised)
	if err != nil {
		return nil, err
	}
	found.material = nil
	return &payloads.DestroyResponsePayload{UniqueIdentifier: id}, nil
}

func query(
	_ context.Context, request *payloads.QueryRequestPayload,
) (*payloads.QueryResponsePayload, error) {
	response := &payloads.QueryResponsePayload{}
	for _, function := range request.QueryFunction {
		switch function {
		case kmip.QueryFunctionOperations:
			response.Operations = operations
		case kmip.QueryFunctionObjects:
			response.ObjectType = []kmip.ObjectType{kmip.ObjectTypeSymmetricKey}
		case kmip.QueryFunctionServerInformation:
			response.VendorIdentification = "a server on kmip-go"
		}
	}
	return response, nil
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
	keys := &store{keys: map[string]*key{}}
	executor := kmipserver.NewBatchExecutor()
	executor.Route(kmip.OperationCreate, kmipserver.HandleFunc(keys.create))
	executor.Route(kmip.OperationGet, kmipserver.HandleFunc(keys.get))
	executor.Route(kmip.OperationGetAttributes, kmipserver.HandleFunc(keys.getAttributes))
	executor.Route(kmip.OperationGetAttributeList, kmipserver.HandleFunc(keys.getAttributeList))
	executor.Route(kmip.OperationLocate, kmipserver.HandleFunc(keys.locate))
	executor.Route(kmip.OperationActivate, kmipserver.HandleFunc(keys.activate))
	executor.Route(kmip.OperationRevoke, kmipserver.HandleFunc(keys.revoke))
	executor.Route(kmip.OperationDestroy, kmipserver.HandleFunc(keys.destroy))
	executor.Route(kmip.OperationQuery, kmipserver.HandleFunc(query))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("ready", listener.Addr().(*net.TCPAddr).Port)
	server := kmipserver.NewServer(tls.NewListener(listener, tlsSettings(os.Args[1])), executor)
	fmt.Fprintln(os.Stderr, server.Serve())
}
