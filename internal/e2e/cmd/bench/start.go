//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// starts is how often the start is measured; the median counts.
const starts = 15

// startToSchema is how long a provider takes from its start until a CLI has its schema.
func startToSchema(ctx context.Context, provider string) (time.Duration, error) {
	var times []time.Duration
	for range starts {
		took, err := startOnce(ctx, provider)
		if err != nil {
			return 0, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return times[starts/2], nil
}

func startOnce(ctx context.Context, provider string) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, provider) //nolint:gosec // make bench names it
	// What a CLI says of itself, so that the program takes it for one.
	cmd.Env = append(os.Environ(), "TF_PLUGIN_MAGIC_COOKIE=d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2", "PLUGIN_PROTOCOL_VERSIONS=6")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err = cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return 0, err
	}
	// Core version, protocol version, network, address, protocol.
	parts := strings.Split(line, "|")
	if len(parts) < 5 {
		return 0, fmt.Errorf("%s said %q instead of where it listens", provider, line)
	}
	conn, err := grpc.NewClient(parts[2]+":"+parts[3], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	var schema []byte
	err = conn.Invoke(ctx, "/tfplugin6.Provider/GetProviderSchema", nil, &schema,
		grpc.ForceCodec(raw{}), grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(64<<20))
	if err == nil && len(schema) == 0 {
		err = fmt.Errorf("%s has no schema", provider)
	}
	return time.Since(begun), err
}

// raw hands messages over as they are: an empty one is the request, and that there
// is an answer is all that counts.
type raw struct{}

// Marshal implements encoding.Codec.
func (raw) Marshal(any) ([]byte, error) { return nil, nil }

// Unmarshal implements encoding.Codec.
func (raw) Unmarshal(data []byte, v any) error {
	into, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot decode into %T", v)
	}
	*into = slices.Clone(data)
	return nil
}

// Name implements encoding.Codec.
func (raw) Name() string { return "proto" }
