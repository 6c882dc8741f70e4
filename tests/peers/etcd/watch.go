package main

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watch catches up with what the tree's last route went through, so it needs nobody who writes meanwhile.
func watch(key string, options ...clientv3.OpOption) func(context.Context, *asker) (any, error) {
	return func(ctx context.Context, a *asker) (any, error) {
		started := append([]clientv3.OpOption{clientv3.WithRev(a.base + 1)}, options...)
		return a.first(ctx, a.client.Watch(ctx, key, started...))
	}
}

func (a *asker) first(ctx context.Context, watching clientv3.WatchChan) (any, error) {
	for told := range watching {
		if err := told.Err(); err != nil {
			return nil, err
		}
		return a.told(told), nil
	}
	return nil, ctx.Err()
}

func (a *asker) told(told clientv3.WatchResponse) any {
	events := []any{}
	for _, event := range told.Events {
		events = append(events, answer{"type": event.Type.String(), "kv": a.kv(event.Kv), "prev": a.kv(event.PrevKv)})
	}
	return answer{
		"events": events, "created": told.Created, "canceled": told.Canceled,
		"revision": a.since(told.Header.GetRevision()), "is_progress": told.IsProgressNotify(),
	}
}

func watchTwice(ctx context.Context, a *asker) (any, error) {
	one, cancel := context.WithCancel(ctx)
	started := clientv3.WithRev(a.base + 1)
	first, second := a.client.Watch(one, route2, started), a.client.Watch(ctx, prefix, started, clientv3.WithPrefix())
	toldFirst, err := a.first(ctx, first)
	if err != nil {
		cancel()
		return nil, err
	}
	cancel()
	for range first { // until the server has confirmed the cancel
	}
	toldSecond, err := a.first(ctx, second)
	return []any{toldFirst, toldSecond}, err
}

func watchCreated(ctx context.Context, a *asker) (any, error) {
	return a.first(ctx, a.client.Watch(ctx, route1, clientv3.WithCreatedNotify()))
}

func watchProgress(ctx context.Context, a *asker) (any, error) {
	watching := a.client.Watch(ctx, route1, clientv3.WithCreatedNotify())
	<-watching
	if err := a.client.RequestProgress(ctx); err != nil {
		return nil, err
	}
	return a.first(ctx, watching)
}
