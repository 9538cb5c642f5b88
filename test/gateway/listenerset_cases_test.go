package gateway_test

// listenerSetCases are those of the conformanceCases whose manifests have ListenerSets. A name
// has the address of the Gateway whichever listener it comes by, so what comes by which is seen
// by taking routes and sets away.
var listenerSetCases = []conformanceCase{
	{
		manifest: "listenerset-allowed-namespace-none",
		refused:  map[string]string{"ListenerSet listenerset-not-allowed": "NotAllowed"},
		probes: []probeRoute{
			{"HTTPRoute", "{name: gateway-does-not-allow-listenerset}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-not-allowed}", ""},
		},
		resolution: resolution{want: answers{
			"gateway-does-not-allow-listenerset": "gateway-listener.com",
			nobody:                               "listener-set-listener.com", // G51
		}},
	},
	{
		manifest: "listenerset-allowed-namespace-same",
		refused:  map[string]string{"ListenerSet listenerset-in-different-namespace": "NotAllowed"},
		attached: map[string]int32{"gateway-allows-listenerset-in-same-namespace": 1},
		probes: []probeRoute{
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-in-same-namespace}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-in-different-namespace, namespace: gateway-api-listenerset-not-allowed-ns}", ""},
		},
		resolution: resolution{want: answers{
			"gateway-allows-listenerset-in-same-namespace": "listenerset-in-same-namespace-listener.com",
			nobody: "listenerset-in-different-namespace-listener" + // G51
				" gateway-listener.com", // G52: no route has the Gateway itself as parent
		}},
	},
	{
		manifest: "listenerset-allowed-namespace-selector",
		refused:  map[string]string{"ListenerSet listenerset-not-in-selected-namespace": "NotAllowed"},
		attached: map[string]int32{"gateway-allows-listenerset-in-selected-namespace": 1},
		probes: []probeRoute{
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-in-selected-namespace, namespace: gateway-api-listenerset-selector-allowed-ns}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-not-in-selected-namespace, namespace: gateway-api-listenerset-selector-not-allowed-ns}", ""},
		},
		resolution: resolution{want: answers{
			"gateway-allows-listenerset-in-selected-namespace": "listenerset-in-selected-namespace-listener.com",
			nobody: "listenerset-not-in-selected-namespace-listener.com gateway-listener.com",
		}},
	},
	{
		manifest: "listenerset-allowed-routes-namespaces",
		refused:  map[string]string{"HTTPRoute route-in-gateway-namespace": "NotAllowedByListeners"},
		attached: map[string]int32{
			"gateway-with-listener-sets-test-allowed-routes":                                              2,
			"listenerset-test-allowed-routes-namespaces listener-set-listener-allowed-routes-all":         3,
			"listenerset-test-allowed-routes-namespaces listener-set-listener-allowed-routes-same":        1,
			"listenerset-test-allowed-routes-namespaces listener-set-listener-allowed-routes-selector":    1,
			"listenerset-test-allowed-routes-cross-ns listener-set-listener-allowed-routes-cross-ns-same": 1,
		},
		resolution: resolution{want: answers{
			// The 404s of these hosts are for the paths of routes that the listener does not allow.
			"gateway-with-listener-sets-test-allowed-routes": "listener-set-listener-allowed-routes-all.com listener-set-listener-allowed-routes-same.com" +
				" listener-set-listener-allowed-routes-selector.com listener-set-listener-allowed-routes-cross-ns-same.com",
			nobody: "gateway-listener.com",
		}},
		then: []conformanceStep{ // G15
			{delete: "HTTPRoute route-in-same-namespace", resolution: resolution{want: answers{
				"gateway-with-listener-sets-test-allowed-routes": "listener-set-listener-allowed-routes-all.com listener-set-listener-allowed-routes-selector.com",
				nobody: "listener-set-listener-allowed-routes-same.com",
			}}},
			{delete: "HTTPRoute gateway-api-routes-allowed-ns/route-in-selected-namespace", resolution: resolution{want: answers{
				"gateway-with-listener-sets-test-allowed-routes": "listener-set-listener-allowed-routes-all.com",
				nobody: "listener-set-listener-allowed-routes-same.com listener-set-listener-allowed-routes-selector.com",
			}}},
			{delete: "HTTPRoute gateway-api-routes-not-allowed-ns/route-not-in-selected-namespace", resolution: resolution{want: answers{
				nobody: "listener-set-listener-allowed-routes-all.com",
			}}},
			// Same is the namespace of the ListenerSet, not of its Gateway, where a route is left.
			{delete: "HTTPRoute gateway-api-ls-cross-ns/route-in-listenerset-namespace", resolution: resolution{want: answers{
				nobody: "listener-set-listener-allowed-routes-cross-ns-same.com",
			}}},
		},
	},
	{
		manifest: "listenerset-allowed-routes-supported-kinds",
		refused:  map[string]string{"ListenerSet listenerset-test-allowed-routes-supported-kinds listener-set-listener-allowed-routes-tls-only": "InvalidRouteKinds"},
		attached: map[string]int32{"gateway-with-listener-sets-test-supported-route-kinds": 1},
		// The listener's protocol rules out HTTPRoutes (G13), its kinds all others (G14).
		probes: []probeRoute{
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-test-allowed-routes-supported-kinds}", ""},
			{"TLSRoute", "{kind: ListenerSet, name: listenerset-test-allowed-routes-supported-kinds}", `"*.com"`},
			{"HTTPRoute", "{name: gateway-with-listener-sets-test-supported-route-kinds}", ""},
		},
		resolution: resolution{want: answers{
			"gateway-with-listener-sets-test-supported-route-kinds": "gateway-listener.com",
			nobody: "listener-set-listener-allowed-routes-tls-only.com",
		}},
	},
	{
		manifest: "listenerset-default-not-allowed",
		refused:  map[string]string{"ListenerSet listenerset-default-not-allowed": "NotAllowed"},
		probes: []probeRoute{
			{"HTTPRoute", "{name: gateway-default-does-not-allow-listenerset}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-default-not-allowed}", ""},
		},
		resolution: resolution{want: answers{
			"gateway-default-does-not-allow-listenerset": "gateway-listener.com",
			nobody: "listenerset-default-not-allowed-listener.com", // G51
		}},
	},
	{
		manifest:   "listenerset-dual-parentref-independence",
		refused:    map[string]string{"HTTPRoute route-dual-parentref-one gateway-dual-parentref": "NoMatchingParent"},
		attached:   map[string]int32{"gateway-dual-parentref": 1, "gateway-dual-parentref gw-dual-parentref-listener": 1, "ls-dual-parentref ls-dual-parentref-listener": 2},
		resolution: resolution{want: answers{"gateway-dual-parentref": "gw-dual.com ls-dual.com"}},
		then: []conformanceStep{
			{delete: "HTTPRoute route-dual-parentref-both", resolution: resolution{want: answers{ // G52
				"gateway-dual-parentref": "ls-dual.com",
				nobody:                   "gw-dual.com",
			}}},
		},
	},
	{
		manifest: "listenerset-gateway-parent-section-name-not-found",
		refused:  map[string]string{"HTTPRoute route-via-gateway": "NoMatchingParent"},
		attached: map[string]int32{"gateway-section-name": 1, "listenerset-section-name ls-only-listener": 1},
		resolution: resolution{want: answers{
			"gateway-section-name": "ls-section-name.com",
			nobody:                 "gw-section.com",
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute route-via-listenerset", resolution: resolution{want: answers{ // G52
				nobody: "gw-section.com ls-section-name.com",
			}}},
		},
	},
	{
		manifest: "listenerset-hostname-conflict",
		refused: map[string]string{
			"ListenerSet listenerset-with-hostname-conflict-with-gateway-1 hostname-conflict-with-gateway-listener":           "HostnameConflict",
			"ListenerSet listenerset-with-hostname-conflict-with-gateway-2":                                                   "ListenersNotValid",
			"ListenerSet listenerset-with-hostname-conflict-with-gateway-2 hostname-conflict-with-gateway-listener":           "HostnameConflict",
			"ListenerSet listenerset-with-hostname-conflict-with-listener-set-1 hostname-conflict-with-listener-set-listener": "HostnameConflict",
			"ListenerSet listenerset-with-hostname-conflict-with-listener-set-2":                                              "ListenersNotValid",
			"ListenerSet listenerset-with-hostname-conflict-with-listener-set-2 hostname-conflict-with-listener-set-listener": "HostnameConflict",
		},
		attached: map[string]int32{"gateway-with-listenerset-hostname-conflict": 2},
		probes: []probeRoute{
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-hostname-conflict-with-gateway-1}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-hostname-conflict-with-gateway-2}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-hostname-conflict-with-listener-set-1}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-hostname-conflict-with-listener-set-2}", ""},
		},
		resolution: resolution{
			want: answers{
				"gateway-with-listenerset-hostname-conflict": "listener-set-1-listener.com listener-set-2-listener.com hostname-conflict-with-listener-set-listener.com",
				// The Gateway's listener of the name has no route, and its rivals are conflicted (G51).
				nobody: "hostname-conflict-with-gateway-listener.com gateway-listener.com",
			},
			believed: answers{"gateway-with-listenerset-hostname-conflict": "hostname-conflict-with-gateway-listener.com"},
		},
		then: []conformanceStep{
			// Until the controller judges those that are left anew, none of them has the name.
			{delete: "ListenerSet listenerset-with-hostname-conflict-with-gateway-1", resolution: resolution{
				want: answers{
					"gateway-with-listenerset-hostname-conflict": "listener-set-2-listener.com",
					nobody: "listener-set-1-listener.com hostname-conflict-with-listener-set-listener.com",
				},
				believed: answers{"gateway-with-listenerset-hostname-conflict": "hostname-conflict-with-listener-set-listener.com"},
			}},
		},
	},
	{
		manifest: "listenerset-http-routing",
		attached: map[string]int32{
			"gateway-with-listener-sets-http-routing":                            2,
			"listener-set-http-routing-1 listener-set-http-routing-1-listener-1": 3,
			"listener-set-http-routing-1 listener-set-http-routing-1-listener-2": 2,
			"listener-set-http-routing-2 listener-set-http-routing-2-listener-1": 2,
			"listener-set-http-routing-2 listener-set-http-routing-2-listener-2": 2,
		},
		// All 404s are for paths of other routes: each host has one that every route to it serves.
		resolution: resolution{want: answers{
			"gateway-with-listener-sets-http-routing": "gateway-listener-1.com gateway-listener-2.com" +
				" listener-set-http-routing-1-listener-1.com listener-set-http-routing-1-listener-2.com" +
				" listener-set-http-routing-2-listener-1.com listener-set-http-routing-2-listener-2.com",
		}},
		then: []conformanceStep{
			{delete: "HTTPRoute attaches-to-all-listeners", resolution: resolution{want: answers{
				"gateway-with-listener-sets-http-routing": "gateway-listener-1.com gateway-listener-2.com" +
					" listener-set-http-routing-1-listener-1.com listener-set-http-routing-1-listener-2.com" +
					" listener-set-http-routing-2-listener-1.com listener-set-http-routing-2-listener-2.com",
			}}},
			{delete: "HTTPRoute gateway-route", resolution: resolution{want: answers{
				"gateway-with-listener-sets-http-routing": "gateway-listener-1.com",
				nobody: "gateway-listener-2.com",
			}}},
			{delete: "HTTPRoute listener-set-http-routing-1-route", resolution: resolution{want: answers{
				"gateway-with-listener-sets-http-routing": "listener-set-http-routing-1-listener-1.com",
				nobody: "listener-set-http-routing-1-listener-2.com",
			}}},
			{delete: "ListenerSet listener-set-http-routing-2", resolution: resolution{want: answers{
				"gateway-with-listener-sets-http-routing": "gateway-listener-1.com listener-set-http-routing-1-listener-1.com",
				nobody: "listener-set-http-routing-2-listener-1.com listener-set-http-routing-2-listener-2.com",
			}}},
		},
	},
	{
		manifest: "listenerset-protocol-conflict",
		refused: map[string]string{
			"ListenerSet listenerset-with-protocol-conflict-with-gateway-1 protocol-conflict-with-gateway-listener":           "ProtocolConflict",
			"ListenerSet listenerset-with-protocol-conflict-with-gateway-2":                                                   "ListenersNotValid",
			"ListenerSet listenerset-with-protocol-conflict-with-gateway-2 protocol-conflict-with-gateway-listener":           "ProtocolConflict",
			"ListenerSet listenerset-with-protocol-conflict-with-listener-set-1 protocol-conflict-with-listener-set-listener": "ProtocolConflict",
			"ListenerSet listenerset-with-protocol-conflict-with-listener-set-2":                                              "ListenersNotValid",
			"ListenerSet listenerset-with-protocol-conflict-with-listener-set-2 protocol-conflict-with-listener-set-listener": "ProtocolConflict",
		},
		attached: map[string]int32{"gateway-with-listenerset-protocol-conflict": 2},
		probes: []probeRoute{
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-protocol-conflict-with-gateway-1}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-protocol-conflict-with-gateway-2}", "set-1.probe.example"},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-protocol-conflict-with-listener-set-1}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-protocol-conflict-with-listener-set-2}", "set-2.probe.example"},
		},
		resolution: resolution{want: answers{
			"gateway-with-listenerset-protocol-conflict": "listener-set-1-listener.com listener-set-2-listener.com protocol-conflict-with-listener-set-listener.com",
			// The listeners in conflict take no HTTPRoute, whatever is said of them (G13).
			nobody: "set-1.probe.example set-2.probe.example protocol-conflict-with-gateway-listener.com gateway-listener.com",
		}},
		then: []conformanceStep{
			{delete: "ListenerSet listenerset-with-protocol-conflict-with-gateway-1", resolution: resolution{want: answers{
				"gateway-with-listenerset-protocol-conflict": "listener-set-2-listener.com",
				nobody: "listener-set-1-listener.com protocol-conflict-with-listener-set-listener.com",
			}}},
		},
	},
	{
		manifest: "listenerset-reference-grant",
		refused: map[string]string{
			"ListenerSet listenerset-without-reference-grant":                                              "ListenersNotValid",
			"ListenerSet listenerset-without-reference-grant listenerset-without-reference-grant-listener": "RefNotPermitted",
		},
		attached: map[string]int32{"gateway-with-listener-sets-test-reference-grant": 1},
		probes: []probeRoute{
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-with-reference-grant}", ""},
			{"HTTPRoute", "{kind: ListenerSet, name: listenerset-without-reference-grant, namespace: gateway-api-listener-sets-test-reference-grant-ns}", ""},
		},
		// The grant is about a secret and no matter to names (G17), the controller's verdict is (G51).
		resolution: resolution{
			want: answers{
				"gateway-with-listener-sets-test-reference-grant": "listenerset-with-reference-grant-listener.com",
				nobody: "listenerset-without-reference-grant-listener-1.com gateway-listener.com",
			},
			believed: answers{"gateway-with-listener-sets-test-reference-grant": "listenerset-without-reference-grant-listener-1.com"},
		},
	},
	{
		manifest:   "listenerset-route-status-scoped-to-parentref",
		attached:   map[string]int32{"gateway-parentref": 1, "gateway-parentref gw-parentref-listener": 1, "listenerset-parentref listenerset-parentref-listener": 1},
		resolution: resolution{want: answers{"gateway-parentref": "gw-parentref.com listenerset-parentref.com"}},
		then: []conformanceStep{
			{delete: "HTTPRoute route-parentref-gwonly", resolution: resolution{want: answers{
				"gateway-parentref": "listenerset-parentref.com",
				nobody:              "gw-parentref.com",
			}}},
			{delete: "Gateway gateway-parentref", resolution: resolution{want: answers{nobody: "gw-parentref.com listenerset-parentref.com"}}}, // G24, G50
		},
	},
}
