package harness

// VectorState is the state of the conformance vectors, without the younger claim of evil.
const VectorState = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: evil}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: web}
  ports: [{name: https, port: 443, targetPort: 8443}]
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: empty}
  ports: [{port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 5432}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: shop}
spec:
  rules:
  - {host: a.ex.org, http: &http {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: https}}}}]}}
  - {host: "*.w.ex.org", http: *http}
status: {loadBalancer: {ingress: [{hostname: web.shop.minilb}]}}
`
