package lb

import "testing"

func TestSlips(t *testing.T) {
	for _, tc := range []struct {
		name, kind          string
		labels, annotations set
		text, fix           string // empty for none
	}{
		{"host of a Service", "Service", nil, set{"minilb/host": "a", "minilb/alpn": "h2"}, "", ""},
		{"port of the nodes", "Service", nil, set{"minilb/node-port": "53"}, "", ""},
		{"misspelt port of the nodes", "Service", nil, set{"minilb/nodeport": "53"}, `annotation "minilb/nodeport" is none of ours and has no effect`, "set the annotation minilb/node-port"},
		{"port of the nodes of a Gateway", "Gateway", nil, set{"minilb/node-port": "53"}, "annotation minilb/node-port has no effect on objects of kind Gateway", "set it on the Service"},
		{"numbers of a Service", "Service", nil, set{"minilb/ttl": "30", "minilb/weight": "1", "minilb/priority": "x"}, "", ""},
		{"TTL of a route", "GRPCRoute", nil, set{"minilb/ttl": "30"}, "", ""},
		{"TTL of an Ingress", "Ingress", nil, set{"minilb/ttl": "30"}, "", ""},
		{"TTL of a Gateway", "Gateway", nil, set{"minilb/ttl": "30"}, "annotation minilb/ttl has no effect on objects of kind Gateway", "set it on the routes"},
		{"weight of an Ingress", "Ingress", nil, set{"minilb/weight": "1"}, "annotation minilb/weight has no effect on objects of kind Ingress", "set it on the Service"},
		{"priority as label", "Service", set{"minilb/priority": "1"}, nil, "label minilb/priority has no effect: it is an annotation", "set the annotation minilb/priority"},
		{"misspelt weight", "Service", nil, set{"minilb/wieght": "1"}, `annotation "minilb/wieght" is none of ours and has no effect`, "set the annotation minilb/weight"},
		{"service of a route", "HTTPRoute", set{"minilb/ignore": "true"}, set{"minilb/service": "a"}, "", ""},
		{"what others write", "Service", set{"app.kubernetes.io/name": "minilb", "minikube.k8s.io/name": "host", "minilb.example.org/team": "a", "minilb": "x"},
			set{"kubectl.kubernetes.io/last-applied-configuration": "{}", "minio/host": "a", "metallb.io/ip": "x", "minilb.example.org/team": "a"}, "", ""},
		{"plural", "Service", nil, set{"minilb/hosts": "a"}, `annotation "minilb/hosts" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"our prefix", "Service", nil, set{"minilb/aplication": "a"}, `annotation "minilb/aplication" is none of ours and has no effect`, "set the annotation minilb/alpn"},
		{"a domain", "Service", nil, set{"minilb.io/host": "a"}, `annotation "minilb.io/host" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"upper case", "Service", nil, set{"Minilb/Host": "a"}, `annotation "Minilb/Host" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"upper case alone", "Service", nil, set{"MINILB/HOST": "a"}, `annotation "MINILB/HOST" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"our prefix, equally far from several", "Service", nil, set{"minilb/qqqqqqqqq": "a"}, `annotation "minilb/qqqqqqqqq" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"our prefix, a little nearer to one", "Service", nil, set{"minilb/aopn": "a"}, `annotation "minilb/aopn" is none of ours and has no effect`, "set the annotation minilb/alpn"},
		{"a letter less", "Service", nil, set{"minlb/host": "a"}, `annotation "minlb/host" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"two slips", "Service", nil, set{"minlb/hosted": "a"}, `annotation "minlb/hosted" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"three slips", "Service", nil, set{"minlb/hostess": "a", "mnlb/host": "a"}, "", ""},
		{"swapped letters", "Ingress", nil, set{"minlib/service": "a"}, `annotation "minlib/service" is none of ours and has no effect`, "set the annotation minilb/service"},
		{"no prefix", "Ingress", nil, set{"minilb-service": "a"}, `annotation "minilb-service" is none of ours and has no effect`, "set the annotation minilb/service"},
		{"no prefix, and a slip", "Service", nil, set{"minilb-hosts": "a"}, `annotation "minilb-hosts" is none of ours and has no effect`, "set the annotation minilb/host"},
		{"label", "Ingress", set{"minilb/ignored": "true"}, nil, `label "minilb/ignored" is none of ours and has no effect`, `set the label minilb/ignore: "true"`},
		{"value", "Ingress", set{"minilb/ignore": "yes"}, nil, `label minilb/ignore: "yes" has no effect`, `set it to "true" to have the object ignored, or remove it`},
		{"annotation as label", "Service", set{"minilb/host": "a"}, nil, "label minilb/host has no effect: it is an annotation", "set the annotation minilb/host"},
		{"label as annotation", "Service", nil, set{"minilb/ignore": "true"}, "annotation minilb/ignore has no effect: it is a label", `set the label minilb/ignore: "true"`},
		{"label of pods", "Service", set{"minilb/drain": ""}, nil, "label minilb/drain has no effect on objects of kind Service", setDrainLabel},
		{"label of pods as annotation", "Ingress", nil, set{"minilb/drain": "7"}, "annotation minilb/drain has no effect: it is a label of pods", setDrainLabel},
		{"label of pods, swapped letters", "Service", set{"minilb/drian": ""}, nil, `label "minilb/drian" is none of ours and has no effect`, setDrainLabel},
		{"host of an Ingress", "Ingress", nil, set{"minilb/host": "a"}, "annotation minilb/host has no effect on objects of kind Ingress", "name the host in spec.rules[].host"},
		{"service of a Service", "Service", nil, set{"minilb/service": "a"}, "annotation minilb/service has no effect on a Service", "claim hosts of a Service by the annotation minilb/host"},
		{"ALPN of a Gateway", "Gateway", nil, set{"minilb/alpn": "a"}, "annotation minilb/alpn has no effect on objects of kind Gateway", "set it on the Service"},
	} {
		slips := Lint(tc.kind, tc.labels, tc.annotations, []string{HostAnnotation})
		if tc.text == "" {
			if len(slips) > 0 {
				t.Errorf("%s: got %v", tc.name, slips)
			}
			continue
		}
		if len(slips) != 1 || slips[0].Text != tc.text || slips[0].Fix != tc.fix {
			t.Errorf("%s: got %v, want %q, %q", tc.name, slips, tc.text, tc.fix)
		}
	}

	// M9: other programs' annotations are noticed where they claim nothing.
	for _, tc := range []struct {
		kind, key  string
		configured bool
		text, fix  string // empty for none
	}{
		{"Service", "coredns.io/hostname", false, "annotation coredns.io/hostname has no effect: hosts are claimed by minilb/host", "add coredns.io/hostname to host_annotations in the Corefile"},
		{"Service", "external-dns.alpha.kubernetes.io/hostname", false, "annotation external-dns.alpha.kubernetes.io/hostname has no effect: hosts are claimed by minilb/host", "add external-dns.alpha.kubernetes.io/hostname to host_annotations in the Corefile"},
		{"Service", "coredns.io/hostname", true, "", ""},
		{"Ingress", "coredns.io/hostname", true, "annotation coredns.io/hostname has no effect on objects of kind Ingress", "name the host in spec.rules[].host"},
		{"Ingress", "coredns.io/hostname", false, "", ""}, // external-dns reads it there
	} {
		hostAnnotations := []string{HostAnnotation}
		if tc.configured {
			hostAnnotations = append(hostAnnotations, tc.key)
		}
		slips := Lint(tc.kind, nil, set{tc.key: "a"}, hostAnnotations)
		switch {
		case tc.text == "":
			if len(slips) > 0 {
				t.Errorf("%s of kind %s: got %v", tc.key, tc.kind, slips)
			}
		case len(slips) != 1 || slips[0] != LintWarning{tc.key, false, tc.text, tc.fix, true}:
			t.Errorf("%s of kind %s: got %v, want %q, %q", tc.key, tc.kind, slips, tc.text, tc.fix)
		}
	}

	// M9: the annotation is the one of the Corefile.
	annotations := set{"coredns.io/hostname": "a", "minilb/host": "a"}
	slips := Lint("Service", nil, annotations, []string{"coredns.io/hostname"})
	if want := "annotation minilb/host has no effect: hosts are claimed by coredns.io/hostname"; len(slips) != 1 || slips[0].Text != want {
		t.Errorf("another host annotation: got %v, want %q", slips, want)
	}
	if slips := Lint("Service", nil, set{"minilb/hosts": "a"}, []string{"minilb/hosts"}); len(slips) > 0 {
		t.Errorf("an annotation that was chosen: got %v", slips)
	}
}

type set = map[string]string

func TestSimilar(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"minilb", "MiniLB", true}, {"mini-lb", "minilb", true}, {"minlib", "minilb", true}, {"minilb.io", "minilb", false},
		{"metallb", "minilb", false}, {"example.org/minilb", "minilb", false}, {"lb", "a", false}, {"lb", "LB", true}, {"lab", "lbs", true}, {"lb", "la", false},
	} {
		if got := LikelyTypo(tc.a, tc.b); got != tc.want {
			t.Errorf("%q, %q: got %t, want %t", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abc", "abc", 0}, {"minilb", "minlib", 1}, {"minikube", "minilb", 3}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q, %q: got %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
