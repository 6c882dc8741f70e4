package main

import (
	"net"
	"sync"
)

// connections is a listener that can reset what it has accepted, by the client's address.
type connections struct {
	net.Listener
	mutex sync.Mutex
	held  map[string]*net.TCPConn
}

func (c *connections) Accept() (net.Conn, error) {
	accepted, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := accepted.(*net.TCPConn); ok {
		c.mutex.Lock()
		c.held[tcp.RemoteAddr().String()] = tcp
		c.mutex.Unlock()
	}
	return accepted, nil
}

// reset closes a connection with a TCP RST.
func (c *connections) reset(client string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if tcp, ok := c.held[client]; ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
		delete(c.held, client)
	}
}
