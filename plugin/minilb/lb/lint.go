package lb

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LintWarning is a label or an annotation that seems to be meant for us and has no effect.
type LintWarning struct {
	Key       string
	Label     bool   // else an annotation
	Text, Fix string // sentences without their full stops
	Notice    bool   // it may be meant only for other programs
}

// Lint returns the labels and annotations of an object, of kind Service or one of hostsOf, that look like ours and have
// no effect, sorted: typos, labels that should be annotations and the reverse, values of the labels to
// ignore and to expose other than "true", annotations without effect on this kind, and those by which other programs name hosts unless they are among
// hostAnnotations, which claim hosts on a Service.
func Lint(kind string, labels, annotations map[string]string, hostAnnotations []string) []LintWarning {
	ours := map[string]bool{}
	for _, key := range hostAnnotations {
		ours[key] = kind == "Service"
	}
	var warnings []LintWarning
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if ours[key] {
			continue
		}
		if text, fix := lintAnnotation(kind, key, hostAnnotations); text != "" {
			warnings = append(warnings, LintWarning{key, false, text, fix, !Known(key) && (slices.Contains(hostAnnotations, key) || slices.Contains(others, key))})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if text, fix := lintLabel(kind, key, labels[key]); text != "" {
			warnings = append(warnings, LintWarning{key, true, text, fix, false})
		}
	}
	return warnings
}

// known are our keys, in the order in which they are proposed.
var known = []string{
	HostAnnotation, ServiceAnnotation, ALPNAnnotation, TTLAnnotation, WeightAnnotation, PriorityAnnotation, NodePortAnnotation,
	ExposeLabel, IgnoreLabel, DrainLabel,
}

// onlyOfServices are those that have no effect on other kinds, beside HostAnnotation.
var onlyOfServices = []string{ALPNAnnotation, WeightAnnotation, PriorityAnnotation, NodePortAnnotation}

// others are the annotations by which external-dns and k8s_gateway name hosts of a Service.
var others = []string{"external-dns.alpha.kubernetes.io/hostname", "external-dns.kubernetes.io/hostname", "coredns.io/hostname"}

// Known reports whether a label or annotation is one of ours.
func Known(key string) bool { return slices.Contains(known, key) }

func lintAnnotation(kind, key string, hostAnnotations []string) (text, fix string) {
	switch {
	case key == ExposeLabel && kind != "Service":
		return fmt.Sprintf("annotation %s has no effect on objects of kind %s", key, kind), setExposeLabel
	case isSwitch(key):
		return fmt.Sprintf("annotation %s has no effect: it is a label", key), fmt.Sprintf("set the label %s: \"true\"", key)
	case key == DrainLabel:
		return fmt.Sprintf("annotation %s has no effect: it is a label of pods", key), setDrainLabel
	case kind != "Service" && (key == HostAnnotation || slices.Contains(hostAnnotations, key)):
		return fmt.Sprintf("annotation %s has no effect on objects of kind %s", key, kind), "name the host in " + hostsOf[kind]
	case key == HostAnnotation || kind == "Service" && slices.Contains(others, key):
		return fmt.Sprintf("annotation %s has no effect: hosts are claimed by %s", key, strings.Join(hostAnnotations, ", ")),
			fmt.Sprintf("add %s to host_annotations in the Corefile", key)
	case key == ServiceAnnotation && kind == "Service":
		return fmt.Sprintf("annotation %s has no effect on a Service", key), fmt.Sprintf("claim hosts of a Service by the annotation %s", HostAnnotation)
	case slices.Contains(onlyOfServices, key) && kind != "Service":
		return fmt.Sprintf("annotation %s has no effect on objects of kind %s", key, kind), "set it on the Service"
	case key == TTLAnnotation && strings.HasPrefix(hostsOf[kind], "spec.listeners"):
		return fmt.Sprintf("annotation %s has no effect on objects of kind %s", key, kind), "set it on the routes"
	}
	return typo("annotation", key)
}

// hostsOf is where objects of a kind name their hosts.
var hostsOf = map[string]string{
	"Ingress": "spec.rules[].host", "Gateway": "spec.listeners[].hostname", "ListenerSet": "spec.listeners[].hostname", "XListenerSet": "spec.listeners[].hostname",
	"HTTPRoute": "spec.hostnames", "GRPCRoute": "spec.hostnames", "TLSRoute": "spec.hostnames",
}

// setDrainLabel is where the label of pods belongs.
const setDrainLabel = "set the label " + DrainLabel + " on the pods, as by spec.template.metadata.labels of a Deployment"

// setExposeLabel is where the label of Services belongs.
const setExposeLabel = "set the label " + ExposeLabel + ": \"true\" on the Service"

// isSwitch reports whether a key is that of a label which has an effect with the value "true".
func isSwitch(key string) bool { return key == IgnoreLabel || key == ExposeLabel }

func lintLabel(kind, key, value string) (text, fix string) {
	switch {
	case key == DrainLabel:
		return fmt.Sprintf("label %s has no effect on objects of kind %s", key, kind), setDrainLabel
	case key == ExposeLabel && kind != "Service":
		return fmt.Sprintf("label %s has no effect on objects of kind %s", key, kind), setExposeLabel
	case isSwitch(key) && (value == "true" || value == "false" || value == ""):
		return "", ""
	case key == IgnoreLabel:
		return fmt.Sprintf("label %s: %q has no effect", key, value), `set it to "true" to have the object ignored, or remove it`
	case key == ExposeLabel:
		return fmt.Sprintf("label %s: %q has no effect", key, value), `set it to "true" to have the Service answered, or remove it`
	case Known(key):
		return fmt.Sprintf("label %s has no effect: it is an annotation", key), fmt.Sprintf("set the annotation %s", key)
	}
	return typo("label", key)
}

func typo(what, key string) (text, fix string) {
	if Known(key) {
		return "", ""
	}
	text = fmt.Sprintf("%s %q is none of ours and has no effect", what, key)
	switch meant := resembles(key); meant {
	case "":
		return "", ""
	case IgnoreLabel, ExposeLabel:
		return text, fmt.Sprintf("set the label %s: \"true\"", meant)
	case DrainLabel:
		return text, setDrainLabel
	default:
		return text, "set the annotation " + meant
	}
}

// slack is the largest distance of a typo.
const slack = 2

// resembles returns the one of our keys that an unknown key was probably meant to be, "" for none. A key with
// our prefix was meant for us; of others the rest must be similar as well.
func resembles(key string) string {
	key = strings.ToLower(key)
	prefix, rest, found := strings.Cut(key, "/")
	if !found {
		// "minilb.host", "minilb-host": a key without a prefix of its own.
		i := strings.IndexAny(key, ".-_")
		if i < 0 {
			return ""
		}
		prefix, rest = key[:i], key[i+1:]
	}
	ours, _, _ := strings.Cut(HostAnnotation, "/")
	first, _, _ := strings.Cut(prefix, ".")
	if distance(first, ours) > 1 {
		return ""
	}
	closest := slices.MinFunc(known, func(a, b string) int {
		return cmp.Compare(distance(rest, a[len(ours)+1:]), distance(rest, b[len(ours)+1:]))
	})
	if (!found || prefix != ours) && distance(rest, closest[len(ours)+1:]) > slack {
		return ""
	}
	return closest
}

// LikelyTypo reports whether two names differ only in case, or in two letters at most if they are longer than that.
func LikelyTypo(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b || min(len(a), len(b)) > slack && distance(a, b) <= slack
}

// distance returns how many letters must be inserted, removed, replaced or swapped with the next one to turn
// a into b.
func distance(a, b string) int {
	// The last three rows of the table of distances between beginnings of a and of b.
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(replaced, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
