// Command stub looks up each FAMILY:NAME argument with the net package and prints what it got.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

func main() {
	networks := map[string]string{"4": "ip4", "6": "ip6", "any": "ip"}
	for _, question := range os.Args[1:] {
		family, name, _ := strings.Cut(question, ":")
		fmt.Print(question)
		addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), networks[family], name)
		if dnsErr := (*net.DNSError)(nil); errors.As(err, &dnsErr) && dnsErr.IsNotFound {
			fmt.Print(" unknown")
		} else if err != nil {
			fmt.Print(" failed: ", err)
		}
		for _, addr := range addrs {
			fmt.Print(" ", addr)
		}
		fmt.Println()
	}
}
