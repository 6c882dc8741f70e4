package main

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func (a *asker) endpoint() string {
	return a.client.Endpoints()[0]
}

func memberList(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	told := []any{}
	for _, member := range found.Members {
		told = append(told, answer{
			"has_id": member.ID != 0, "has_name": member.Name != "", "client_urls": len(member.ClientURLs),
			"is_learner": member.IsLearner, "is_me": member.ID == found.Header.MemberId,
		})
	}
	return answer{"members": told, "has_cluster_id": found.Header.ClusterId != 0}, nil
}

func endpointStatus(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.Status(ctx, a.endpoint())
	if err != nil {
		return nil, err
	}
	return answer{
		"is_leader": found.Leader == found.Header.MemberId, "has_version": found.Version != "",
		"has_size": found.DbSize > 0, "has_term": found.RaftTerm > 0, "has_index": found.RaftIndex > 0,
		"is_applied": found.RaftAppliedIndex > 0, "is_learner": found.IsLearner, "errors": len(found.Errors),
	}, nil
}

func hashKV(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.HashKV(ctx, a.endpoint(), 0)
	if err != nil {
		return nil, err
	}
	return answer{"has_hash": found.Hash != 0, "revision": a.since(found.Header.GetRevision())}, nil
}

func alarmList(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.AlarmList(ctx)
	if err != nil {
		return nil, err
	}
	return answer{"alarms": len(found.Alarms)}, nil
}

func authenticate(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.Authenticate(ctx, "somebody", "secret")
	if err != nil {
		return nil, err
	}
	return answer{"has_token": found.Token != ""}, nil
}

func leaseList(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.Leases(ctx)
	if err != nil {
		return nil, err
	}
	return answer{"leases": len(found.Leases)}, nil
}

const unknownLease = clientv3.LeaseID(0x7777)

func leaseRevokeUnknown(ctx context.Context, a *asker) (any, error) {
	_, err := a.client.Revoke(ctx, unknownLease)
	return nil, err
}

func leaseKeepAliveUnknown(ctx context.Context, a *asker) (any, error) {
	_, err := a.client.KeepAliveOnce(ctx, unknownLease)
	return nil, err
}

func leaseTTLUnknown(ctx context.Context, a *asker) (any, error) {
	found, err := a.client.TimeToLive(ctx, unknownLease)
	if err != nil {
		return nil, err
	}
	return answer{"ttl": found.TTL, "granted": found.GrantedTTL, "is_same": found.ID == unknownLease}, nil
}

func leaseLife(ctx context.Context, a *asker) (any, error) {
	granted, err := a.client.Grant(ctx, 60)
	if err != nil {
		return nil, err
	}
	kept, err := a.client.KeepAliveOnce(ctx, granted.ID)
	if err != nil {
		return nil, err
	}
	lives, err := a.client.TimeToLive(ctx, granted.ID, clientv3.WithAttachedKeys())
	if err != nil {
		return nil, err
	}
	listed, err := a.client.Leases(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = a.client.Revoke(ctx, granted.ID); err != nil {
		return nil, err
	}
	return answer{
		"granted": granted.TTL, "kept": kept.TTL, "lives": lives.TTL > 50, "of": lives.GrantedTTL,
		"keys": len(lives.Keys), "listed": len(listed.Leases),
	}, nil
}
