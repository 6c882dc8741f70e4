package main

import (
	"sync"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// entry is one message of a stream, as the tests see it.
type entry struct {
	Kind          string            `json:"kind"` // open, request, response, end
	Stream        int               `json:"stream"`
	Variant       string            `json:"variant,omitempty"`
	TypeURL       string            `json:"type_url,omitempty"`
	Version       string            `json:"version,omitempty"`
	Nonce         string            `json:"nonce,omitempty"`
	Error         string            `json:"error,omitempty"`
	Names         []string          `json:"names,omitempty"`
	Unsubscribed  []string          `json:"unsubscribed,omitempty"`
	Versions      map[string]string `json:"versions,omitempty"`
	Removed       []string          `json:"removed,omitempty"`
	ResourceCount int               `json:"resource_count,omitempty"`
}

// journal keeps what was said, per node id, and who can be kicked.
type journal struct {
	mutex   sync.Mutex
	grown   chan struct{}
	entries map[string][]entry
	streams map[string]map[int]*kickable
	garbled map[string]string
	closed  map[string]bool
	last    int
}

func newJournal() *journal {
	return &journal{
		grown:   make(chan struct{}),
		entries: map[string][]entry{},
		streams: map[string]map[int]*kickable{},
		garbled: map[string]string{},
		closed:  map[string]bool{},
	}
}

func (j *journal) next() int {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.last++
	return j.last
}

func (j *journal) write(node string, written entry) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.entries[node] = append(j.entries[node], written)
	close(j.grown)
	j.grown = make(chan struct{})
}

// read gives the entries after the first `after`, and what closes when there are more.
func (j *journal) read(node string, after int) ([]entry, <-chan struct{}) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	held := j.entries[node]
	return append([]entry{}, held[min(after, len(held)):]...), j.grown
}

func (j *journal) enter(node string, id int, stream *kickable) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.streams[node] == nil {
		j.streams[node] = map[int]*kickable{}
	}
	j.streams[node][id] = stream
}

func (j *journal) leave(node string, id int) {
	j.mutex.Lock()
	delete(j.streams[node], id)
	j.mutex.Unlock()
	j.write(node, entry{Kind: "end", Stream: id})
}

func (j *journal) streamsOf(node string) []*kickable {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	var held []*kickable
	for _, stream := range j.streams[node] {
		held = append(held, stream)
	}
	return held
}

// garble makes every response of a type to a node carry one more resource, of bytes that are none.
func (j *journal) garble(node, typeURL string) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.garbled[node] = typeURL
}

func (j *journal) isGarbled(node, typeURL string) bool {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.garbled[node] == typeURL && typeURL != ""
}

// close makes the streams of a node be refused, or served again.
func (j *journal) close(node string, isClosed bool) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.closed[node] = isClosed
}

func (j *journal) isClosed(node string) bool {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.closed[node]
}

func requestEntry(id int, request *discovery.DiscoveryRequest) entry {
	return entry{
		Kind: "request", Stream: id, TypeURL: request.GetTypeUrl(), Version: request.GetVersionInfo(),
		Nonce: request.GetResponseNonce(), Error: request.GetErrorDetail().GetMessage(), Names: request.GetResourceNames(),
	}
}

func deltaRequestEntry(id int, request *discovery.DeltaDiscoveryRequest) entry {
	return entry{
		Kind: "request", Stream: id, TypeURL: request.GetTypeUrl(), Nonce: request.GetResponseNonce(),
		Error: request.GetErrorDetail().GetMessage(), Names: request.GetResourceNamesSubscribe(),
		Unsubscribed: request.GetResourceNamesUnsubscribe(), Versions: request.GetInitialResourceVersions(),
	}
}
