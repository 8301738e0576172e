package provider

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/autodevops/terraform-provider-autodevops/internal/registryaccess"
)

// Address of the provider, with a host because CLIs have different default ones.
const Address = "registry.terraform.io/autodevops/autodevops"

// Serve serves the provider to the CLI that has started this process, until it
// ends; with debug, to whichever attaches.
func Serve(debug bool, version string, options ...Option) error {
	var serve []tf6server.ServeOpt
	if debug {
		serve = append(serve, tf6server.WithManagedDebug())
	}
	return tf6server.Serve(Address, func() tfprotov6.ProviderServer { return NewServer(New(version, options...)()) }, serve...)
}

// NewServer serves the provider with protocol 6. It is the framework's server with two
// things added. The framework keeps the cancel function of each call, and so the call's
// context with its loggers, until the process ends (v1.19.0); here what it keeps is let
// go when the call is over. And what every plan asks for every resource is answered by
// registryaccess.Shortcut where that can, unless WithoutShortcuts says otherwise.
func NewServer(p provider.Provider) tfprotov6.ProviderServer {
	s := server{ProviderServer: providerserver.NewProtocol6(p)()}
	if ours, ok := p.(*Provider); ok && !ours.withoutShortcuts {
		s.shortcut = registryaccess.Shortcut{TypeName: typeName + "_registry_access", Client: ours.client.Load}
	}
	return s
}

// server covers the calls that come once for each resource.
type server struct {
	tfprotov6.ProviderServer

	shortcut registryaccess.Shortcut
}

// ValidateResourceConfig implements tfprotov6.ProviderServer.
func (s server) ValidateResourceConfig(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.ValidateResourceConfig)
}

// UpgradeResourceState implements tfprotov6.ProviderServer.
func (s server) UpgradeResourceState(ctx context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	if resp := s.shortcut.UpgradeResourceState(req); resp != nil {
		return resp, nil
	}
	return callDetached(ctx, req, s.ProviderServer.UpgradeResourceState)
}

// UpgradeResourceIdentity implements tfprotov6.ProviderServer.
func (s server) UpgradeResourceIdentity(ctx context.Context, req *tfprotov6.UpgradeResourceIdentityRequest) (*tfprotov6.UpgradeResourceIdentityResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.UpgradeResourceIdentity)
}

// ReadResource implements tfprotov6.ProviderServer.
func (s server) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	if resp := s.shortcut.ReadResource(ctx, req); resp != nil {
		return resp, nil
	}
	return callDetached(ctx, req, s.ProviderServer.ReadResource)
}

// PlanResourceChange implements tfprotov6.ProviderServer.
func (s server) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	if resp := s.shortcut.PlanResourceChange(ctx, req); resp != nil {
		return resp, nil
	}
	return callDetached(ctx, req, s.ProviderServer.PlanResourceChange)
}

// ApplyResourceChange implements tfprotov6.ProviderServer.
func (s server) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.ApplyResourceChange)
}

// ValidateDataResourceConfig implements tfprotov6.ProviderServer.
func (s server) ValidateDataResourceConfig(ctx context.Context, req *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.ValidateDataResourceConfig)
}

// ReadDataSource implements tfprotov6.ProviderServer.
func (s server) ReadDataSource(ctx context.Context, req *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.ReadDataSource)
}

// CallFunction implements tfprotov6.ProviderServer.
func (s server) CallFunction(ctx context.Context, req *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.CallFunction)
}

// ValidateEphemeralResourceConfig implements tfprotov6.ProviderServer.
func (s server) ValidateEphemeralResourceConfig(ctx context.Context, req *tfprotov6.ValidateEphemeralResourceConfigRequest) (*tfprotov6.ValidateEphemeralResourceConfigResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.ValidateEphemeralResourceConfig)
}

// OpenEphemeralResource implements tfprotov6.ProviderServer.
func (s server) OpenEphemeralResource(ctx context.Context, req *tfprotov6.OpenEphemeralResourceRequest) (*tfprotov6.OpenEphemeralResourceResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.OpenEphemeralResource)
}

// CloseEphemeralResource implements tfprotov6.ProviderServer.
func (s server) CloseEphemeralResource(ctx context.Context, req *tfprotov6.CloseEphemeralResourceRequest) (*tfprotov6.CloseEphemeralResourceResponse, error) {
	return callDetached(ctx, req, s.ProviderServer.CloseEphemeralResource)
}

// callDetached makes the call with a context that is worth nothing afterwards.
func callDetached[Q, R any](ctx context.Context, req Q, call func(context.Context, Q) (R, error)) (R, error) {
	short := &detachable{Context: ctx}
	defer short.end()
	return call(short, req)
}

// detachable is a context that lets go of its parent when the call is over, however
// long somebody keeps it.
type detachable struct {
	mu sync.RWMutex
	context.Context
}

// canceled is what a detachable context is afterwards.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (s *detachable) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Context = canceled
}

func (s *detachable) current() context.Context {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.Context
}

// Deadline implements context.Context.
func (s *detachable) Deadline() (deadline time.Time, ok bool) { return s.current().Deadline() }

// Done implements context.Context.
func (s *detachable) Done() <-chan struct{} { return s.current().Done() }

// Err implements context.Context.
func (s *detachable) Err() error { return s.current().Err() }

// Value implements context.Context.
func (s *detachable) Value(key any) any { return s.current().Value(key) }
