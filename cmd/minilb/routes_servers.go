package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// servers are the flags of the formats for resolvers (R23).
type servers struct {
	zones   []string         // without any lb.DefaultDomain
	service cache.ObjectName // without a name the one of its label
}

func serversFlags(flags *flag.FlagSet) *servers {
	s := &servers{service: cache.ObjectName{Namespace: kube.Namespace(lb.DefaultNamespace)}}
	flags.Func("domain", "`zones` that a resolver is to send here, separated by commas; may be\n"+
		"repeated (default minilb)", func(list string) error {
		for text := range strings.SplitSeq(list, ",") {
			zone, err := lb.Name(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			s.zones = append(s.zones, zone)
		}
		return nil
	})
	flags.Func("dns-service", "`namespace/name` of the DNS servers' Service (default the one in namespace\n"+
		"minilb, or in the pod's, labelled app.kubernetes.io/component=dns)", func(text string) error {
		namespace, name, found := strings.Cut(text, "/")
		if !found || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1035Label(name)) > 0 {
			return errors.New("want namespace/name, such as minilb/minilb-dns")
		}
		s.service = cache.ObjectName{Namespace: namespace, Name: name}
		return nil
	})
	return s
}

// choose returns the format, if it is one for resolvers. It fails for flags that have no meaning in the format, or only there.
func (s *servers) choose(name string, flags *flag.FlagSet) (routes.ResolverFormat, bool, error) {
	format, is := routes.ResolverByName(name)
	without := "watch gateway interface subnet asn within pods"
	if !is {
		without = "domain dns-service"
	}
	var err error
	flags.Visit(func(f *flag.Flag) {
		switch {
		case !strings.Contains(" "+without+" ", " "+f.Name+" "):
		case is:
			err = fmt.Errorf("-%s is for routes, and %s has none: leave it out", f.Name, name)
		default:
			err = fmt.Errorf("-%s is for the formats of resolvers, such as -o %s", f.Name, routes.ResolverFormats[0].Name)
		}
	})
	return format, is, err
}

// printServers prints where our DNS servers are.
func (r *routesRun) printServers(ctx context.Context, client kubernetes.Interface, format routes.ResolverFormat, s *servers) error {
	ctx, cancel := context.WithTimeout(ctx, routesTimeout)
	defer cancel()
	nodes, err := routes.ListNodes(ctx, client)
	if err != nil {
		return err
	}
	found, err := r.lan.FindDNSServers(ctx, client, nodes, s.service)
	for _, node := range found.Without {
		r.warn("minilb:", node)
	}
	if err != nil {
		return err
	}
	zones := s.zones
	if len(zones) == 0 {
		zones = []string{lb.DefaultDomain}
	}
	text, err := format.Write(zones, found.Ready)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(r.stdout, text); err != nil {
		return fmt.Errorf("print lines for the resolver: %w", err)
	}
	if found.Warning != "" {
		r.advise("warning", found.Warning)
	}
	return nil
}
