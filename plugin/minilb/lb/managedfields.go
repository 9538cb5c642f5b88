package lb

import (
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OwnsIngress reports whether a field manager's entry owns status.loadBalancer.ingress, an atomic list.
func OwnsIngress(entry metav1.ManagedFieldsEntry) bool {
	_, ingress := owned(entry)
	return ingress
}

// StatusWriter returns the field manager that wrote status.loadBalancer last, "" if that is unknown.
func StatusWriter(entries []metav1.ManagedFieldsEntry) (manager string) {
	var last time.Time
	for _, entry := range entries {
		if loadBalancer, _ := owned(entry); loadBalancer && entry.Time != nil && !entry.Time.Time.Before(last) {
			last, manager = entry.Time.Time, entry.Manager
		}
	}
	return manager
}

// owned reports what an entry owns of status.
func owned(entry metav1.ManagedFieldsEntry) (loadBalancer, ingress bool) {
	if entry.FieldsV1 == nil {
		return false, false
	}
	var fields struct {
		Status struct {
			LoadBalancer *struct {
				Ingress json.RawMessage `json:"f:ingress"`
			} `json:"f:loadBalancer"`
		} `json:"f:status"`
	}
	if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil || fields.Status.LoadBalancer == nil {
		return false, false
	}
	return true, fields.Status.LoadBalancer.Ingress != nil
}
