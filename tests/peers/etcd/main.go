// Command etcd is a real etcd, and a client on etcd's own library, for the tests of meshferry.
//
//	etcd serve DIRECTORY CLIENT_URL PEER_URL   runs etcd's server until standard input closes
//	etcd fill ENDPOINT                         writes the tree that the tests expect
//	etcd ask ENDPOINT                          makes every call of etcd-contract.md section 8 and prints the answers
//
// Answers are one JSON object, operation -> answer. Ids are left out, and revisions are told from that of the route 1
// on, so that answers of different servers can be compared.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

const timeout = 10 * time.Second

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 5 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 3 && os.Args[1] == "fill":
		with(os.Args[2], fill)
	case len(os.Args) == 3 && os.Args[1] == "ask":
		with(os.Args[2], ask)
	default:
		log.Fatal("usage: etcd serve DIRECTORY CLIENT_URL PEER_URL | fill ENDPOINT | ask ENDPOINT")
	}
}

func serve(directory, client, peer string) {
	config := embed.NewConfig()
	config.Dir = directory
	config.LogLevel = "error"
	config.UnsafeNoFsync = true
	config.ListenClientUrls, config.AdvertiseClientUrls = urls(client), urls(client)
	config.ListenPeerUrls, config.AdvertisePeerUrls = urls(peer), urls(peer)
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		log.Fatal(err)
	}
	<-server.Server.ReadyNotify()
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Close()
}

func urls(text string) []url.URL {
	parsed, err := url.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	return []url.URL{*parsed}
}

func with(endpoint string, use func(context.Context, *clientv3.Client) error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: timeout, Logger: zap.NewNop(),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*timeout)
	defer cancel()
	if err := use(ctx, client); err != nil {
		log.Fatal(err)
	}
	_ = client.Close()
}

// fill writes what an agent of the tests serves: the placeholders, a route, and one that came, changed and went.
func fill(ctx context.Context, client *clientv3.Client) error {
	for _, directory := range directories {
		if _, err := client.Put(ctx, prefix+directory+"/", "init_dir"); err != nil {
			return err
		}
	}
	for _, value := range []struct{ key, value string }{
		{route1, `{"uri":"/"}`}, {route2, `{"uri":"/a"}`}, {route2, `{"uri":"/b"}`},
	} {
		if _, err := client.Put(ctx, value.key, value.value); err != nil {
			return err
		}
	}
	_, err := client.Delete(ctx, route2)
	return err
}

func ask(ctx context.Context, client *clientv3.Client) error {
	found, err := client.Get(ctx, route1)
	if err != nil {
		return err
	}
	if len(found.Kvs) != 1 {
		return fmt.Errorf("%s: no such key: fill the server first", route1)
	}
	asker := &asker{client: client, base: found.Kvs[0].ModRevision, current: found.Header.Revision}
	answers := map[string]any{}
	for _, operation := range operations {
		one, cancel := context.WithTimeout(ctx, timeout)
		answer, err := operation.call(one, asker)
		if err != nil {
			answer = failure(err)
		}
		answers[operation.name] = answer
		cancel()
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}
