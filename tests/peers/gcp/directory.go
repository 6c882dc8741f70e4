package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	// The types that are served; what is nested in them stays bytes.
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// heartbeatInterval is how often resources with a TTL are renewed while their node's heart beats.
const heartbeatInterval = 200 * time.Millisecond

// directory is a cache of caches: nodes that were given linear caches use those, all others the snapshot caches.
type directory struct {
	mutex   sync.Mutex
	beating cache.SnapshotCache
	silent  cache.SnapshotCache
	isBeat  map[string]bool
	linear  map[string]map[string]*cache.LinearCache
}

func newDirectory(ctx context.Context) *directory {
	return &directory{
		beating: cache.NewSnapshotCacheWithHeartbeating(ctx, true, cache.IDHash{}, nil, heartbeatInterval),
		silent:  cache.NewSnapshotCache(true, cache.IDHash{}, nil),
		isBeat:  map[string]bool{},
		linear:  map[string]map[string]*cache.LinearCache{},
	}
}

func (d *directory) cacheOf(node, typeURL string) cache.Cache {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if caches, ok := d.linear[node]; ok {
		if _, ok := caches[typeURL]; !ok {
			caches[typeURL] = cache.NewLinearCache(typeURL)
		}
		return caches[typeURL]
	}
	if d.isBeat[node] {
		return d.beating
	}
	return d.silent
}

func (d *directory) CreateWatch(request *cache.Request, sub cache.Subscription, out chan cache.Response) (func(), error) {
	return d.cacheOf(request.GetNode().GetId(), request.GetTypeUrl()).CreateWatch(request, sub, out)
}

func (d *directory) CreateDeltaWatch(
	request *cache.DeltaRequest, sub cache.Subscription, out chan cache.DeltaResponse,
) (func(), error) {
	return d.cacheOf(request.GetNode().GetId(), request.GetTypeUrl()).CreateDeltaWatch(request, sub, out)
}

func (d *directory) Fetch(context.Context, *cache.Request) (cache.Response, error) {
	return nil, fmt.Errorf("not served over REST")
}

// setSnapshot replaces everything of a node. The resources come as a discovery response of mixed types, those with a
// TTL in discovery.v3.Resource wrappers.
func (d *directory) setSnapshot(ctx context.Context, node string, given *discovery.DiscoveryResponse, isBeat bool) error {
	resources := map[string][]types.ResourceWithTTL{}
	for _, body := range given.GetResources() {
		typeURL, resource, err := unwrap(body)
		if err != nil {
			return err
		}
		resources[typeURL] = append(resources[typeURL], resource)
	}
	snapshot, err := cache.NewSnapshotWithTTLs(given.GetVersionInfo(), resources)
	if err != nil {
		return err
	}
	d.mutex.Lock()
	d.isBeat[node] = isBeat
	d.mutex.Unlock()
	chosen := d.silent
	if isBeat {
		chosen = d.beating
	}
	return chosen.SetSnapshot(ctx, node, snapshot)
}

// setLinear replaces all resources of one type of a node, in a linear cache.
func (d *directory) setLinear(node string, given *discovery.DiscoveryResponse) error {
	resources := map[string]types.Resource{}
	for _, body := range given.GetResources() {
		_, resource, err := unwrap(body)
		if err != nil {
			return err
		}
		resources[cache.GetResourceName(resource.Resource)] = resource.Resource
	}
	d.mutex.Lock()
	caches, ok := d.linear[node]
	if !ok {
		caches = map[string]*cache.LinearCache{}
		d.linear[node] = caches
	}
	held, ok := caches[given.GetTypeUrl()]
	if !ok {
		held = cache.NewLinearCache(given.GetTypeUrl())
		caches[given.GetTypeUrl()] = held
	}
	d.mutex.Unlock()
	held.SetResources(resources)
	return nil
}

func unwrap(body *anypb.Any) (string, types.ResourceWithTTL, error) {
	message, err := body.UnmarshalNew()
	if err != nil {
		return "", types.ResourceWithTTL{}, err
	}
	wrapper, ok := message.(*discovery.Resource)
	if !ok {
		return body.GetTypeUrl(), types.ResourceWithTTL{Resource: message}, nil
	}
	var inner proto.Message
	if inner, err = wrapper.GetResource().UnmarshalNew(); err != nil {
		return "", types.ResourceWithTTL{}, err
	}
	ttl := wrapper.GetTtl().AsDuration()
	return wrapper.GetResource().GetTypeUrl(), types.ResourceWithTTL{Resource: inner, TTL: &ttl}, nil
}
