package main

import (
	"context"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// service records what passes between a client and go-control-plane's server, and ends streams on demand.
type service struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	inner   server.Server
	journal *journal
}

// kickable is a stream that can be ended from outside: nil ends it well.
type kickable struct {
	client string
	end    chan error
}

type seat struct {
	journal *journal
	id      int
	node    string
	variant string
	stream  *kickable
}

// sit notes whose stream it is once that is said, and refuses it where the node's streams are closed.
func (s *seat) sit(node string) error {
	if s.node == "" && node != "" {
		if s.journal.isClosed(node) {
			return status.Error(codes.Unavailable, "closed")
		}
		s.node = node
		s.journal.enter(node, s.id, s.stream)
		s.journal.write(node, entry{Kind: "open", Stream: s.id, Variant: s.variant})
	}
	return nil
}

type sotwStream struct {
	discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer
	*seat
}

func (s *sotwStream) Recv() (*discovery.DiscoveryRequest, error) {
	request, err := s.AggregatedDiscoveryService_StreamAggregatedResourcesServer.Recv()
	if err == nil {
		err = s.sit(request.GetNode().GetId())
	}
	if err != nil {
		return nil, err
	}
	s.journal.write(s.node, requestEntry(s.id, request))
	return request, nil
}

func (s *sotwStream) Send(response *discovery.DiscoveryResponse) error {
	s.journal.write(s.node, entry{
		Kind: "response", Stream: s.id, TypeURL: response.GetTypeUrl(), Version: response.GetVersionInfo(),
		Nonce: response.GetNonce(), ResourceCount: len(response.GetResources()),
	})
	if s.journal.isGarbled(s.node, response.GetTypeUrl()) {
		response.Resources = append(response.Resources, &anypb.Any{TypeUrl: response.GetTypeUrl(), Value: []byte{0xff}})
	}
	return s.AggregatedDiscoveryService_StreamAggregatedResourcesServer.Send(response)
}

type deltaStream struct {
	discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	*seat
}

func (s *deltaStream) Recv() (*discovery.DeltaDiscoveryRequest, error) {
	request, err := s.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Recv()
	if err == nil {
		err = s.sit(request.GetNode().GetId())
	}
	if err != nil {
		return nil, err
	}
	s.journal.write(s.node, deltaRequestEntry(s.id, request))
	return request, nil
}

func (s *deltaStream) Send(response *discovery.DeltaDiscoveryResponse) error {
	s.journal.write(s.node, entry{
		Kind: "response", Stream: s.id, TypeURL: response.GetTypeUrl(), Version: response.GetSystemVersionInfo(),
		Nonce: response.GetNonce(), ResourceCount: len(response.GetResources()), Removed: response.GetRemovedResources(),
	})
	if s.journal.isGarbled(s.node, response.GetTypeUrl()) {
		response.Resources = append(response.Resources, &discovery.Resource{
			Name:     "garbled",
			Version:  "1",
			Resource: &anypb.Any{TypeUrl: response.GetTypeUrl(), Value: []byte{0xff}},
		})
	}
	return s.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Send(response)
}

func (s *service) StreamAggregatedResources(
	stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer,
) error {
	wrapped := &sotwStream{stream, s.newSeat(stream, "sotw")}
	return wrapped.run(func() error { return s.inner.StreamAggregatedResources(wrapped) })
}

func (s *service) DeltaAggregatedResources(
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer,
) error {
	wrapped := &deltaStream{stream, s.newSeat(stream, "delta")}
	return wrapped.run(func() error { return s.inner.DeltaAggregatedResources(wrapped) })
}

func (s *service) newSeat(stream interface{ Context() context.Context }, variant string) *seat {
	held := &kickable{end: make(chan error, 1)}
	if client, ok := peer.FromContext(stream.Context()); ok {
		held.client = client.Addr.String()
	}
	return &seat{journal: s.journal, id: s.journal.next(), variant: variant, stream: held}
}

func (s *seat) run(serve func() error) error {
	defer func() { s.journal.leave(s.node, s.id) }()
	served := make(chan error, 1)
	go func() { served <- serve() }()
	select {
	case err := <-served:
		return err
	case err := <-s.stream.end:
		return err
	}
}
