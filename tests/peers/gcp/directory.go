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

// directory is a cache of caches. A node that was given linear caches uses those for all types; one that was given a
// snapshot too uses the linear caches it was given, and the snapshot for the other types (a mux cache). All others use
// the snapshot caches.
type directory struct {
	mutex       sync.Mutex
	beating     cache.SnapshotCache
	silent      cache.SnapshotCache
	isBeat      map[string]bool
	hasSnapshot map[string]bool
	linear      map[string]map[string]*cache.LinearCache
}

func newDirectory(ctx context.Context) *directory {
	return &directory{
		beating:     cache.NewSnapshotCacheWithHeartbeating(ctx, true, cache.IDHash{}, nil, heartbeatInterval),
		silent:      cache.NewSnapshotCache(true, cache.IDHash{}, nil),
		isBeat:      map[string]bool{},
		hasSnapshot: map[string]bool{},
		linear:      map[string]map[string]*cache.LinearCache{},
	}
}

func (d *directory) cacheOf(node, typeURL string) cache.Cache {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	caches, ok := d.linear[node]
	if !ok {
		return d.snapshotsOf(node)
	}
	if d.hasSnapshot[node] {
		return d.muxOf(node, caches)
	}
	return linearOf(caches, typeURL)
}

func (d *directory) snapshotsOf(node string) cache.SnapshotCache {
	if d.isBeat[node] {
		return d.beating
	}
	return d.silent
}

func (d *directory) muxOf(node string, linear map[string]*cache.LinearCache) cache.Cache {
	caches := map[string]cache.Cache{"": d.snapshotsOf(node)}
	for typeURL, held := range linear {
		caches[typeURL] = held
	}
	classify := func(typeURL string) string {
		if _, ok := caches[typeURL]; ok {
			return typeURL
		}
		return ""
	}
	return &cache.MuxCache{
		Classify:      func(request *cache.Request) string { return classify(request.GetTypeUrl()) },
		ClassifyDelta: func(request *cache.DeltaRequest) string { return classify(request.GetTypeUrl()) },
		Caches:        caches,
	}
}

func linearOf(caches map[string]*cache.LinearCache, typeURL string) *cache.LinearCache {
	held, ok := caches[typeURL]
	if !ok {
		held = cache.NewLinearCache(typeURL)
		caches[typeURL] = held
	}
	return held
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
	d.isBeat[node], d.hasSnapshot[node] = isBeat, true
	chosen := d.snapshotsOf(node)
	d.mutex.Unlock()
	return chosen.SetSnapshot(ctx, node, snapshot)
}

// forget drops everything that was set for a node; streams stay open and are told nothing.
func (d *directory) forget(node string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.beating.ClearSnapshot(node)
	d.silent.ClearSnapshot(node)
	delete(d.hasSnapshot, node)
	delete(d.linear, node)
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
	held := linearOf(caches, given.GetTypeUrl())
	d.mutex.Unlock()
	return update(held, resources)
}

// update changes only what differs: SetResources would call everything new.
func update(held *cache.LinearCache, resources map[string]types.Resource) error {
	changed, gone := map[string]types.Resource{}, []string{}
	before := held.GetResources()
	for name, resource := range resources {
		if old, ok := before[name]; !ok || !proto.Equal(old, resource) {
			changed[name] = resource
		}
	}
	for name := range before {
		if _, ok := resources[name]; !ok {
			gone = append(gone, name)
		}
	}
	return held.UpdateResources(changed, gone)
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
