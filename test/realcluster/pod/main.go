// Command pod is the only program of the pods of test/realcluster. Without an argument it is their sandbox, which
// waits for its end. As "web" it answers HTTP and UDP on port 8080 with the host's name and the client's address, and
// ends at once when it is told to, as many programs do.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

const addr = ":8080"

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	if len(os.Args) > 1 && os.Args[1] == "web" {
		go func() {
			fmt.Fprintln(os.Stderr, serve())
			os.Exit(1)
		}()
	}
	<-ended
}

func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	go func() {
		question := make([]byte, 1500)
		for {
			_, from, err := packets.ReadFrom(question)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo([]byte(name+" "+from.String()+"\n"), from)
		}
	}()
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, name, r.RemoteAddr)
	}))
}
