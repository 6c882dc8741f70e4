package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// pollTimeout is how long a reader of the journal is kept waiting.
const pollTimeout = 5 * time.Second

const unavailable = "14"

// newControl serves what the tests set and look at. Every path takes ?node=.
//
//	POST /snapshot?beat=1  a serialised DiscoveryResponse: everything of the node, in a snapshot cache
//	POST /linear           a serialised DiscoveryResponse: everything of one type, in a linear cache; beside a snapshot
//	                       that was set before, it serves its type and the snapshot the others
//	POST /forget           the node has neither snapshot nor linear caches any more
//	POST /close?is=1       streams of the node are refused from now on, its open ones ended; without, served again
//	POST /garble?type=     responses of the type carry one undecodable resource more; without a type, none do
//	POST /kick?code=       end the node's streams with a gRPC status code; 0 ends them well, `reset` resets the socket
//	GET  /journal?after=   the node's entries after the first so many, waited for when there are none
func newControl(directory *directory, journal *journal, connections *connections) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /snapshot", func(w http.ResponseWriter, r *http.Request) {
		answer(w, withResponse(r, func(node string, given *discovery.DiscoveryResponse) error {
			return directory.setSnapshot(r.Context(), node, given, r.FormValue("beat") != "")
		}))
	})
	mux.HandleFunc("POST /linear", func(w http.ResponseWriter, r *http.Request) {
		answer(w, withResponse(r, directory.setLinear))
	})
	mux.HandleFunc("POST /forget", func(_ http.ResponseWriter, r *http.Request) {
		directory.forget(r.FormValue("node"))
	})
	mux.HandleFunc("POST /close", func(w http.ResponseWriter, r *http.Request) {
		node, isClosed := r.FormValue("node"), r.FormValue("is") != ""
		journal.close(node, isClosed)
		if isClosed {
			answer(w, kick(journal.streamsOf(node), unavailable, connections))
		}
	})
	mux.HandleFunc("POST /garble", func(_ http.ResponseWriter, r *http.Request) {
		journal.garble(r.FormValue("node"), r.FormValue("type"))
	})
	mux.HandleFunc("POST /kick", func(w http.ResponseWriter, r *http.Request) {
		answer(w, kick(journal.streamsOf(r.FormValue("node")), r.FormValue("code"), connections))
	})
	mux.HandleFunc("GET /journal", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.FormValue("after"))
		_ = json.NewEncoder(w).Encode(waitFor(journal, r.FormValue("node"), after))
	})
	return mux
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func withResponse(r *http.Request, use func(string, *discovery.DiscoveryResponse) error) error {
	node := r.URL.Query().Get("node")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	given := &discovery.DiscoveryResponse{}
	if err := proto.Unmarshal(body, given); err != nil {
		return err
	}
	return use(node, given)
}

func kick(streams []*kickable, code string, connections *connections) error {
	if code == "reset" {
		for _, stream := range streams {
			connections.reset(stream.client)
		}
		return nil
	}
	number, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return fmt.Errorf("code: %w", err)
	}
	for _, stream := range streams {
		select {
		case stream.end <- status.Error(codes.Code(number), "kicked"):
		default: // it is ending already
		}
	}
	return nil
}

func waitFor(journal *journal, node string, after int) []entry {
	deadline := time.After(pollTimeout)
	for {
		entries, grown := journal.read(node, after)
		if len(entries) > 0 {
			return entries
		}
		select {
		case <-grown:
		case <-deadline:
			return entries
		}
	}
}
