package companion_test

import "github.com/minilb/minilb/test/harness"

// checkedPaths is what a rule of an Ingress takes beside its host.
const checkedPaths = "http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}"

// checkedSound is a cluster in which nothing is wrong, with the statuses that controllers write, but
// for that of the Service, which "minilb controller" does.
const checkedSound = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: third}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {minilb/host: "mqtt.ex.org, *.w.ex.org"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: shop}
spec: {rules: [{host: ingress.ex.org, ` + checkedPaths + `}, {host: web.shop.minilb, ` + checkedPaths + `}]}
status: {loadBalancer: {ingress: [{hostname: web.shop.minilb}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: example}
spec: {controllerName: example.org/gateways}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec: {gatewayClassName: example, listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.ex.org"}]}
status: {addresses: [{type: Hostname, value: web.shop.minilb}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec: {parentRefs: [{name: gw}], hostnames: [route.ex.org]}
status: {parents: [{parentRef: {name: gw}, controllerName: example.org/gateways, conditions: ` + harness.GatewayAccepted + `}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: third, annotations: {minilb/service: shop/web}}
spec: {rules: [{host: ingress.ex.org, ` + checkedPaths + `}]}
---
apiVersion: v1
kind: Service
metadata: {name: cloud, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: example.org/cloud, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}
---
apiVersion: v1
kind: Service
metadata: {name: ignored, namespace: shop, labels: {minilb/ignore: "true"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80, targetPort: 8080}]}
`

// checkedBroken breaks each thing once, in objects of their own.
const checkedBroken = `
{apiVersion: v1, kind: Service, metadata: {name: wrong-class, namespace: shop}, spec: {type: LoadBalancer, loadBalancerClass: mini-lb, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: no-class, namespace: shop}, spec: {type: LoadBalancer, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: other-class, namespace: shop}, spec: {type: LoadBalancer, loadBalancerClass: example.org/gone, ports: [{port: 80}]}}
---
apiVersion: v1
kind: Service
metadata: {name: wrong-port, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{port: 8888, targetPort: http}]}
status: {loadBalancer: {ingress: [{hostname: wrong-port.shop.minilb}]}}
---
apiVersion: v1
kind: Service
metadata: {name: traefik, namespace: shop, labels: {app.kubernetes.io/name: traefik}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{port: 81, targetPort: http}]}
status: {loadBalancer: {ingress: [{hostname: traefik.shop.minilb}]}}
---
apiVersion: v1
kind: Service
metadata: {name: misspelt-port, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{name: http, port: 80, targetPort: htpp}]}
status: {loadBalancer: {ingress: [{hostname: misspelt-port.shop.minilb}]}}
---
apiVersion: v1
kind: Service
metadata: {name: unready, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: unready}, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{hostname: unready.shop.minilb}]}}
---
apiVersion: v1
kind: Service
metadata: {name: nothing, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: none}, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{hostname: nothing.shop.minilb}]}}
---
apiVersion: v1
kind: Service
metadata: {name: no-status, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: stolen, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, sessionAffinity: ClientIP, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: cilium, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80, targetPort: 9999}]}
status: {loadBalancer: {ingress: [{hostname: cilium.shop.minilb}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cilium, namespace: shop, labels: {kubernetes.io/service-name: cilium}}
addressType: IPv4
ports: [{port: 9999}]
endpoints: [{addresses: [192.192.192.192]}]
---
apiVersion: v1
kind: Service
metadata: {name: typo, namespace: shop, annotations: {minilb/hosts: typo.ex.org}, labels: {minilb/ignored: "true"}}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: cluster-ip, namespace: shop, annotations: {minilb/host: cluster-ip.ex.org}}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: claimed-twice, namespace: other}
spec: {rules: [{host: mqtt.ex.org, ` + checkedPaths + `}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: reserved, namespace: other}
spec: {rules: [{host: web.shop.minilb, ` + checkedPaths + `}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: no-address, namespace: shop, annotations: {Minilb/Service: web}}
spec: {rules: [{host: no-address.ex.org, ` + checkedPaths + `}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: not-accepted, namespace: shop}
spec: {parentRefs: [{name: gw}], hostnames: [not-accepted.ex.org]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mismatch, namespace: shop, annotations: {minilb/host: x.ex.org}}
spec: {parentRefs: [{name: gw}], hostnames: [mismatch.other.org]}
status: {parents: [{parentRef: {name: gw}, controllerName: example.org/gateways, conditions: ` + harness.GatewayAccepted + `}]}
`
