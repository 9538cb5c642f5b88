package gateway_test

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// conformanceSkipped are manifests whose routes carry no hostnames, and why there is nothing
// to ask for.
var conformanceSkipped = map[string]string{
	"tcproute-invalid-non-tcp-listener":       "TCPRoutes have no hostnames",
	"udproute-not-allowed-by-listeners":       "UDPRoutes have no hostnames",
	"udproute-parentref-attach-all-listeners": "UDPRoutes have no hostnames",
}

// conformanceCases have the hosts of the requests in the .go file beside each manifest: one
// that a backend answers resolves. One that gets 404 may resolve all the same where only the
// path or port is wrong, which DNS does not know. Other names are said to be of ours.
var conformanceCases = slices.Concat(routeCases, listenerSetCases)

var routeCases = []conformanceCase{
	{
		manifest: "gateway-http-listener-isolation",
		resolution: resolution{want: answers{
			"http-listener-isolation": "bar.example.com bar.foo.example.com abc.foo.example.com",
			// A backend answers for bar.com through a listener and a route without hostname:
			// there is no name to publish (G30). foo.example.com, of ours, reaches a backend
			// through *.example.com, too, but lies above a longer wildcard (D10).
			nobody: "bar.com example.com foo.example.com",
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute attaches-to-wildcard-example-com", resolution: resolution{want: answers{ // G11
				"http-listener-isolation": "bar.foo.example.com abc.foo.example.com",
				nobody:                    "bar.example.com",
			}}},
		},
	},
	{
		manifest: "gateway-http-listener-isolation-with-hostname-intersection",
		resolution: resolution{want: answers{
			"http-listener-isolation-with-hostname-intersection": "bar.com bar.example.com bar.foo.example.com abc.foo.example.com",
			nobody: "example.com foo.example.com", // of ours, as above
		}},
		// What the other routes list of bar.com and wildcards lies outside of their listeners (G30).
		then: []conformanceStep{
			{delete: "HTTPRoute attaches-to-empty-hostname-with-hostname-intersection", resolution: resolution{want: answers{
				"http-listener-isolation-with-hostname-intersection": "bar.example.com bar.foo.example.com abc.foo.example.com",
				nobody: "bar.com",
			}}},
			{delete: "HTTPRoute attaches-to-wildcard-example-com-with-hostname-intersection", resolution: resolution{want: answers{
				"http-listener-isolation-with-hostname-intersection": "bar.foo.example.com abc.foo.example.com",
				nobody: "bar.example.com",
			}}},
			{delete: "HTTPRoute attaches-to-wildcard-foo-example-com-with-hostname-intersection", resolution: resolution{want: answers{
				"http-listener-isolation-with-hostname-intersection": "abc.foo.example.com",
				nobody: "bar.foo.example.com",
			}}},
		},
	},
	{
		manifest: "gateway-invalid-listeners-unsupported-protocol",
		refused: map[string]string{
			"Gateway gateway-only-unsupported-protocols":                  "ListenersNotValid",
			"Gateway gateway-only-unsupported-protocols invalid":          "UnsupportedProtocol",
			"Gateway gateway-supported-and-unsupported-protocols invalid": "UnsupportedProtocol",
		},
		probes: []probeRoute{
			{"HTTPRoute", "{name: gateway-only-unsupported-protocols}", "only.probe.example"},
			{"HTTPRoute", "{name: gateway-supported-and-unsupported-protocols, sectionName: http}", "http.probe.example"},
			{"HTTPRoute", "{name: gateway-supported-and-unsupported-protocols, sectionName: invalid}", "invalid.probe.example"},
		},
		resolution: resolution{want: answers{
			"gateway-supported-and-unsupported-protocols": "http.probe.example",
			nobody: "only.probe.example invalid.probe.example", // G13
		}},
	},
	{
		manifest: "gateway-modify-listeners",
		attached: map[string]int32{"gateway-add-listener https": 1, "gateway-add-listener http": 1, "gateway-remove-listener https": 1, "gateway-remove-listener http": 1},
		resolution: resolution{want: answers{
			"gateway-add-listener gateway-remove-listener": "secure.test.com", // G43
			nobody: "data.test.com test.com",
		}},
		then: []conformanceStep{
			{
				edit: func(gateway string, spec *gatewayv1.GatewaySpec) {
					if gateway == "gateway-add-listener" {
						spec.Listeners = append(spec.Listeners, gatewayv1.Listener{
							Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType, Hostname: new(gatewayv1.Hostname("data.test.com")),
							AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromAll)}},
						})
					}
				},
				resolution: resolution{want: answers{
					"gateway-add-listener gateway-remove-listener": "secure.test.com",
					"gateway-add-listener":                         "data.test.com",
				}},
			},
			{
				edit: func(gateway string, spec *gatewayv1.GatewaySpec) {
					if gateway == "gateway-remove-listener" {
						spec.Listeners = spec.Listeners[1:]
					}
				},
				// What is left, http, has no hostname, nor has its route (G30).
				resolution: resolution{want: answers{"gateway-add-listener": "secure.test.com data.test.com"}},
			},
		},
	},
	{
		manifest: "grpcroute-listener-hostname-matching",
		resolution: resolution{want: answers{
			"grpcroute-listener-hostname-matching": "bar.com foo.bar.com baz.bar.com boo.bar.com multiple.prefixes.bar.com multiple.prefixes.foo.com",
			nobody:                                 "foo.com no.matching.host",
		}},
		then: []conformanceStep{
			{delete: "GRPCRoute backend-v3", resolution: resolution{want: answers{
				"grpcroute-listener-hostname-matching": "bar.com foo.bar.com",
				nobody:                                 "baz.bar.com multiple.prefixes.bar.com multiple.prefixes.foo.com",
			}}},
		},
	},
	{
		manifest: "httproute-disallowed-kind",
		refused:  map[string]string{"HTTPRoute disallowed-kind": "NotAllowedByListeners"},
		// The route of the manifest could have no name in any case.
		probes: []probeRoute{
			{"HTTPRoute", "{name: tlsroutes-only}", "http.probe.example"},
			{"GRPCRoute", "{name: tlsroutes-only}", "grpc.probe.example"},
			{"TLSRoute", "{name: tlsroutes-only}", "tls.probe.example"},
		},
		resolution: resolution{want: answers{
			"tlsroutes-only": "tls.probe.example",
			nobody:           "http.probe.example grpc.probe.example", // G13, G14
		}},
	},
	{
		manifest: "httproute-hostname-intersection",
		refused:  map[string]string{"HTTPRoute no-intersecting-hosts": "NoMatchingListenerHostname"},
		attached: map[string]int32{
			"httproute-hostname-intersection listener-1": 2, "httproute-hostname-intersection listener-2": 1,
			"httproute-hostname-intersection listener-3": 1, "httproute-hostname-intersection-all listener-1": 1,
		},
		resolution: resolution{want: answers{
			"httproute-hostname-intersection": "very.specific.com foo.wildcard.io bar.wildcard.io foo.bar.wildcard.io" +
				" foo.anotherwildcard.io bar.anotherwildcard.io foo.bar.anotherwildcard.io",
			"httproute-hostname-intersection-all": "first.com sub.first.com second.com sub.second.com",
			nobody: "non.matching.com foo.nonmatchingwildcard.io wildcard.io foo.specific.com anotherwildcard.io" +
				" specific.but.wrong.com third.com sub.third.com" +
				" baz.wildcard.io very.very.specific.com", // of ours: of the listener or the route, but not of both
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute specific-host-matches-listener-specific-host", resolution: resolution{want: answers{
				// The route to *.specific.com holds it.
				"httproute-hostname-intersection": "very.specific.com foo.wildcard.io",
			}}},
			{delete: "HTTPRoute wildcard-host-matches-listener-specific-host", resolution: resolution{want: answers{
				"httproute-hostname-intersection": "foo.wildcard.io",
				nobody:                            "very.specific.com",
			}}},
		},
	},
	{
		manifest: "httproute-https-listener",
		resolution: resolution{want: answers{
			"same-namespace-with-https-listener": "example.org second-example.org",
			nobody:                               "unknown-example.org wildcard.org x.wildcard.org",
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute httproute-https-test-no-hostname", resolution: resolution{want: answers{
				"same-namespace-with-https-listener": "example.org",
				nobody:                               "second-example.org",
			}}},
		},
	},
	{
		manifest: "httproute-https-listener-detect-misdirected-requests",
		resolution: resolution{want: answers{
			"same-namespace-with-https-listener": "example.org second-example.org third-example.wildcard.org fith-example.wildcard.org fourth-example.wildcard.org",
			nobody:                               "unknown-example.org wildcard.org",
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute https-listener-detect-misdirected-requests-test-3", resolution: resolution{want: answers{
				"same-namespace-with-https-listener": "fourth-example.wildcard.org",
				nobody:                               "third-example.wildcard.org fith-example.wildcard.org",
			}}},
		},
	},
	{
		manifest: "httproute-invalid-parentref-not-matching-listener-port",
		refused:  map[string]string{"HTTPRoute httproute-listener-not-matching-route-port": "NoMatchingParent"},
		// The route of the manifest could have no name in any case.
		probes: []probeRoute{
			{"HTTPRoute", "{name: same-namespace, port: 81}", "port-81.probe.example"},
			{"HTTPRoute", "{name: same-namespace, port: 80}", "port-80.probe.example"},
		},
		resolution: resolution{want: answers{
			"same-namespace": "port-80.probe.example",
			nobody:           "port-81.probe.example", // G11
		}},
	},
	{
		manifest: "httproute-listener-hostname-matching",
		resolution: resolution{want: answers{
			"httproute-listener-hostname-matching": "bar.com foo.bar.com baz.bar.com boo.bar.com multiple.prefixes.bar.com multiple.prefixes.foo.com",
			// Of ours: x.foo.bar.com reaches a backend through *.bar.com, but there is a
			// foo.bar.com, which keeps the wildcard from what is below it (RFC 4592 §3.3.1, D10).
			nobody: "foo.com no.matching.host x.foo.bar.com",
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute backend-v3", resolution: resolution{want: answers{
				"httproute-listener-hostname-matching": "bar.com foo.bar.com",
				nobody:                                 "baz.bar.com multiple.prefixes.bar.com multiple.prefixes.foo.com",
			}}},
		},
	},
	{
		manifest: "httproute-listener-port-matching",
		resolution: resolution{want: answers{
			// bar.com on port 8090 is a 404, on 8080 it is not.
			"httproute-listener-port-matching": "foo.com bar.com",
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute backend-v2", resolution: resolution{want: answers{ // G11: the route to 8090 names listener-4
				"httproute-listener-port-matching": "foo.com",
				nobody:                             "bar.com",
			}}},
		},
	},
	{
		manifest: "tlsroute-hostname-intersection",
		resolution: resolution{want: answers{
			"gw-tlsroute-exact-hostname-x-1 gw-tlsroute-more-specific-wc-hostname-x-2 gw-tlsroute-less-specific-wc-hostname-x-3 gw-tlsroute-empty-hostname-x-4": "abc.example.com",
			// x-4 would take it, too, for *.com, but in DNS the longer wildcard hides the shorter (D14).
			"gw-tlsroute-more-specific-wc-hostname-x-2 gw-tlsroute-less-specific-wc-hostname-x-3": "other.example.com",
			// x-1 to x-3 reject it, but the route to *.com at x-4, whose listener has no
			// hostname, has it.
			"gw-tlsroute-empty-hostname-x-4": "non.matching.com",
			nobody:                           "non.matching.org",
		}},
		then: []conformanceStep{
			{delete: "Gateway gw-tlsroute-empty-hostname-x-4", resolution: resolution{want: answers{ // G24
				"gw-tlsroute-exact-hostname-x-1 gw-tlsroute-more-specific-wc-hostname-x-2 gw-tlsroute-less-specific-wc-hostname-x-3": "abc.example.com",
				"gw-tlsroute-more-specific-wc-hostname-x-2 gw-tlsroute-less-specific-wc-hostname-x-3":                                "other.example.com",
				// *.com at x-2 is *.example.com there.
				nobody: "non.matching.com",
			}}},
			{delete: "Gateway gw-tlsroute-less-specific-wc-hostname-x-3", resolution: resolution{want: answers{
				"gw-tlsroute-exact-hostname-x-1 gw-tlsroute-more-specific-wc-hostname-x-2": "abc.example.com",
				"gw-tlsroute-more-specific-wc-hostname-x-2":                                "other.example.com",
			}}},
			{delete: "Gateway gw-tlsroute-more-specific-wc-hostname-x-2", resolution: resolution{want: answers{
				"gw-tlsroute-exact-hostname-x-1": "abc.example.com",
				nobody:                           "other.example.com",
			}}},
		},
	},
	{
		manifest: "tlsroute-invalid-no-matching-listener",
		refused: map[string]string{
			"TLSRoute tlsroute-not-allowed-protocol-http":  "NotAllowedByListeners",
			"TLSRoute tlsroute-not-allowed-protocol-https": "NotAllowedByListeners",
			"TLSRoute tlsroute-no-matching-section-name":   "NoMatchingParent",
		},
		resolution: resolution{want: answers{nobody: "tls.example.com"}}, // G11, G13
	},
	{
		manifest: "tlsroute-invalid-no-matching-listener-hostname",
		refused: map[string]string{
			"TLSRoute tlsroute-hostname-mismatch-1": "NoMatchingListenerHostname",
			"TLSRoute tlsroute-hostname-mismatch-2": "NoMatchingListenerHostname",
		},
		resolution: resolution{want: answers{nobody: "www.nomatch.com x.nomatch.com www.different.com x.different.com www.example.com x.example.com"}}, // G30
	},
	{
		manifest: "tlsroute-listener-mixed-termination-not-supported",
		refused: map[string]string{
			"Gateway gateway-tlsroute-mixed-termination-not-supported tls-terminate":   "ProtocolConflict",
			"Gateway gateway-tlsroute-mixed-termination-not-supported tls-passthrough": "ProtocolConflict",
		},
		probes: []probeRoute{{"TLSRoute", "{name: gateway-tlsroute-mixed-termination-not-supported}", `"*.example.com"`}},
		resolution: resolution{
			want:     answers{nobody: "terminate.example.com passthrough.example.com other.example.com"}, // G18
			believed: answers{"gateway-tlsroute-mixed-termination-not-supported": "terminate.example.com passthrough.example.com"},
		},
	},
	{
		manifest: "tlsroute-listener-passthrough-supported-kinds",
		refused:  map[string]string{"Gateway gateway-tlsroute-passthrough-supported-kind tls-passthrough": "InvalidRouteKinds"},
		probes: []probeRoute{
			{"TLSRoute", "{name: gateway-tlsroute-passthrough-supported-kind}", "tls.probe.example"},
			{"HTTPRoute", "{name: gateway-tlsroute-passthrough-supported-kind}", "http.probe.example"},
		},
		resolution: resolution{want: answers{
			// One of the listener's kinds is unknown; the other is served (G24).
			"gateway-tlsroute-passthrough-supported-kind": "tls.probe.example",
			nobody: "http.probe.example", // G14
		}},
	},
	{
		manifest: "tlsroute-listener-terminate-not-supported",
		refused:  map[string]string{"Gateway gateway-tlsroute-terminate-unsupported tls-terminate": "UnsupportedValue"},
		probes:   []probeRoute{{"TLSRoute", "{name: gateway-tlsroute-terminate-unsupported}", `"*.example.com"`}},
		resolution: resolution{
			want:     answers{nobody: "terminate.example.com other.example.com"}, // G18
			believed: answers{"gateway-tlsroute-terminate-unsupported": "terminate.example.com"},
		},
	},
	{
		manifest: "tlsroute-listener-terminate-supported-kinds",
		probes: []probeRoute{
			{"TLSRoute", "{name: gateway-tlsroute-terminate-supported}", `"*.example.com"`},
			{"HTTPRoute", "{name: gateway-tlsroute-terminate-supported, sectionName: tls-terminate}", "http.probe.example"},
		},
		resolution: resolution{want: answers{
			"gateway-tlsroute-terminate-supported": "terminate.example.com",
			nobody:                                 "other.example.com http.probe.example",
		}},
	},
}
