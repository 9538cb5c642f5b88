package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// StopEtcd ends etcd at once, as a crash would. The API server, if it runs, has
// no more data to answer with.
func (c *Cluster) StopEtcd() error {
	return c.etcd.stop(0)
}

// StartEtcd starts etcd again after StopEtcd, with the data that it finds, and
// returns when it is ready.
func (c *Cluster) StartEtcd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.startEtcd(ctx)
}

// BackUp stops the API server and etcd, copies etcd's data to a directory that
// does not exist yet, and starts both again.
func (c *Cluster) BackUp(ctx context.Context, dir string) error {
	if err := c.stopEtcdInOrder(); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(c.etcdData())); err != nil {
		return fmt.Errorf("copy etcd's data: %w", err)
	}
	return c.startBoth(ctx)
}

// Restore stops the API server and etcd, puts the data of BackUp in place of
// etcd's, with the resourceVersions of then, and starts both again. An empty
// dir stands for no data: the cluster begins anew.
func (c *Cluster) Restore(ctx context.Context, dir string) error {
	if err := c.stopEtcdInOrder(); err != nil {
		return err
	}
	if err := os.RemoveAll(c.etcdData()); err != nil {
		return fmt.Errorf("remove etcd's data: %w", err)
	}
	if dir != "" {
		if err := os.CopyFS(c.etcdData(), os.DirFS(dir)); err != nil {
			return fmt.Errorf("copy etcd's data: %w", err)
		}
	}
	return c.startBoth(ctx)
}

func (c *Cluster) etcdData() string { return filepath.Join(c.Dir, "etcd") }

// stopEtcdInOrder lets etcd write what it has in memory.
func (c *Cluster) stopEtcdInOrder() error {
	return errors.Join(c.StopAPIServer(), c.etcd.stop(stopGrace))
}

func (c *Cluster) startBoth(ctx context.Context) error {
	if err := c.StartEtcd(ctx); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}
