// Command gcp serves xDS with the caches of go-control-plane, for the tests of meshferry.
//
// It listens on free ports of 127.0.0.1, or where it is told to, and prints them as one line of JSON. What it serves and how it misbehaves is
// set over HTTP (control.go), per node id, so that one process serves all tests at once.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Connections of the second port are told to go away at this age, and closed after the grace.
const (
	maxAge      = 1500 * time.Millisecond
	maxAgeGrace = 500 * time.Millisecond
)

const anyPort = "127.0.0.1:0"

func main() {
	address := flag.String("steady", anyPort, "where to listen for streams that live as long as they like")
	flag.Parse()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go stopWithParent(stop)

	directory := newDirectory(ctx)
	journal := newJournal()
	plain := &service{inner: server.NewServer(ctx, directory, nil), journal: journal}
	inOrder := &service{inner: server.NewServer(ctx, directory, nil, sotw.WithOrderedADS()), journal: journal}

	steady, steadyConnections := listen(*address)
	aging, _ := listen(anyPort)
	ordered, _ := listen(anyPort)
	control, _ := listen(anyPort)
	keep := keepalive.EnforcementPolicy{MinTime: time.Minute, PermitWithoutStream: true}
	go serve(steady, plain, grpc.KeepaliveEnforcementPolicy(keep))
	go serve(ordered, inOrder)
	go serve(aging, plain, grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionAge: maxAge, MaxConnectionAgeGrace: maxAgeGrace,
	}))
	go func() {
		log.Fatal(http.Serve(control, newControl(directory, journal, steadyConnections)))
	}()

	ports := map[string]string{
		"steady": steady.Addr().String(), "aging": aging.Addr().String(), "ordered": ordered.Addr().String(),
		"control": control.Addr().String(),
	}
	if err := json.NewEncoder(os.Stdout).Encode(ports); err != nil {
		log.Fatal(err)
	}
	<-ctx.Done()
}

// stopWithParent ends the program when its standard input closes, so that it never outlives the tests.
func stopWithParent(stop context.CancelFunc) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
}

func listen(address string) (net.Listener, *connections) {
	inner, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	open := &connections{Listener: inner, held: map[string]*net.TCPConn{}}
	return open, open
}

func serve(listener net.Listener, service *service, options ...grpc.ServerOption) {
	grpcServer := grpc.NewServer(options...)
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, service)
	log.Fatal(grpcServer.Serve(listener))
}
