package object

import corev1 "k8s.io/api/core/v1"

// Node is a node whose endpoints are answered only where there is no other (L6).
type Node struct{ Meta }

// NewNode keeps the name.
func NewNode(obj *corev1.Node) *Node { return &Node{newMeta(obj)} }
