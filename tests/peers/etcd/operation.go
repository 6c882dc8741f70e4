package main

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"
)

const (
	prefix = "/apisix/"
	route1 = prefix + "routes/1"
	route2 = prefix + "routes/2"
)

var directories = []string{
	"consumer_groups", "consumers", "global_rules", "plugin_configs", "plugin_metadata", "plugins", "proto", "protos",
	"routes", "secrets", "services", "ssl", "ssls", "stream_routes", "upstreams",
}

type answer = map[string]any

type asker struct {
	client  *clientv3.Client
	base    int64
	current int64
}

type operation struct {
	name string
	call func(context.Context, *asker) (any, error)
}

// operations are the rows of etcd-contract.md section 8, with the flags that change what a server does. Those that
// write come last: a read-only server refuses them.
var operations = []operation{
	{"get", get(route1)},
	{"get --prefix", get(prefix, clientv3.WithPrefix())},
	{"get --from-key", get(prefix+"s", clientv3.WithFromKey())},
	{"get --prefix --limit", get(prefix, clientv3.WithPrefix(), clientv3.WithLimit(2))},
	{"get --prefix --keys-only", get(prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())},
	{"get --prefix --count-only", get(prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())},
	{"get --prefix --sort-by=MODIFY --order=DESCEND", get(
		prefix, clientv3.WithPrefix(), clientv3.WithLimit(1),
		clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend),
	)},
	{"get --serializable", get(route1, clientv3.WithSerializable())},
	{"get, a key that is not there", get(prefix + "none")},
	{"get, no key", get("")},
	{"get --rev, an old one", getAt(route2, func(a *asker) int64 { return a.base + 2 })},
	{"get --rev, a future one", getAt(route2, func(a *asker) int64 { return a.current + 100 })},
	{"watch --rev --prefix", watch(prefix, clientv3.WithPrefix())},
	{"watch --rev, one key", watch(route2)},
	{"watch --rev --prev-kv", watch(route2, clientv3.WithPrevKV())},
	{"watch, no puts", watch(route2, clientv3.WithFilterPut())},
	{"watch, no deletes", watch(route2, clientv3.WithFilterDelete())},
	{"watch, fragment", watch(route2, clientv3.WithFragment())},
	{"watch, two on one stream", watchTwice},
	{"watch, created", watchCreated},
	{"watch, progress asked for", watchProgress},
	{"member list", memberList},
	{"endpoint status", endpointStatus},
	{"endpoint health", get("health")},
	{"endpoint hashkv", hashKV},
	{"alarm list", alarmList},
	{"user without users", authenticate},
	{"lease list", leaseList},
	{"lease revoke, unknown", leaseRevokeUnknown},
	{"lease keep-alive, unknown", leaseKeepAliveUnknown},
	{"lease timetolive, unknown", leaseTTLUnknown},
	{"lease grant, keep-alive, timetolive, list, revoke", leaseLife},
	{"put, a placeholder", put(prefix + "routes/")},
	{"put, a resource", put(prefix + "routes/3")},
	{"del", del},
	{"txn", txn},
	{"compaction, and a get and a watch before it", compaction},
}

func failure(err error) any {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return answer{"code": known.Code().String(), "message": known.Error()}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return answer{"code": "none", "message": "no answer"}
	}
	found := status.Convert(err)
	return answer{"code": found.Code().String(), "message": found.Message()}
}

// since tells a revision from that of the first route on; what is older depends on who wrote the placeholders.
func (a *asker) since(revision int64) any {
	if revision < a.base {
		return "before"
	}
	return revision - a.base
}

func (a *asker) kv(kv *mvccpb.KeyValue) any {
	if kv == nil {
		return nil
	}
	return answer{
		"key": string(kv.Key), "value": string(kv.Value), "version": kv.Version, "has_lease": kv.Lease != 0,
		"create": a.since(kv.CreateRevision), "mod": a.since(kv.ModRevision),
	}
}

func (a *asker) kvs(kvs []*mvccpb.KeyValue) any {
	told := []any{}
	for _, kv := range kvs {
		told = append(told, a.kv(kv))
	}
	return told
}

func (a *asker) range_(found *clientv3.GetResponse) any {
	return answer{
		"kvs": a.kvs(found.Kvs), "more": found.More, "count": found.Count, "has_header": found.Header != nil,
		"revision": a.since(found.Header.GetRevision()),
	}
}

func get(key string, options ...clientv3.OpOption) func(context.Context, *asker) (any, error) {
	return func(ctx context.Context, a *asker) (any, error) {
		found, err := a.client.Get(ctx, key, options...)
		if err != nil {
			return nil, err
		}
		return a.range_(found), nil
	}
}

func getAt(key string, revision func(*asker) int64) func(context.Context, *asker) (any, error) {
	return func(ctx context.Context, a *asker) (any, error) {
		return get(key, clientv3.WithRev(revision(a)))(ctx, a)
	}
}

func put(key string) func(context.Context, *asker) (any, error) {
	return func(ctx context.Context, a *asker) (any, error) {
		done, err := a.client.Put(ctx, key, "init_dir")
		if err != nil {
			return nil, err
		}
		return answer{"has_header": done.Header != nil, "has_prev": done.PrevKv != nil}, nil
	}
}

func del(ctx context.Context, a *asker) (any, error) {
	done, err := a.client.Delete(ctx, prefix+"routes/3", clientv3.WithPrevKV())
	if err != nil {
		return nil, err
	}
	return answer{"deleted": done.Deleted, "prev": len(done.PrevKvs)}, nil
}

func txn(ctx context.Context, a *asker) (any, error) {
	done, err := a.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(route1), "=", 1)).
		Then(clientv3.OpPut(route2, "{}"), clientv3.OpGet(route1)).
		Else(clientv3.OpGet(route2)).
		Commit()
	if err != nil {
		return nil, err
	}
	return answer{"succeeded": done.Succeeded, "responses": len(done.Responses)}, nil
}

func compaction(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.Get(ctx, route1)
	if err != nil {
		return nil, err
	}
	if _, err = a.client.Compact(ctx, found.Header.Revision); err != nil {
		return nil, err
	}
	_, err = a.client.Get(ctx, route1, clientv3.WithRev(a.base))
	before := failure(err)
	for told := range a.client.Watch(ctx, route1, clientv3.WithRev(a.base)) {
		return answer{
			"get": before, "canceled": told.Canceled, "has_compact_revision": told.CompactRevision > 0,
			"error": failure(told.Err()),
		}, nil
	}
	return nil, ctx.Err()
}
