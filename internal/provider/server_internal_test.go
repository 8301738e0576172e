package provider

import (
	"context"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// keeper is a server that keeps the context of each call, as the framework does.
type keeper struct {
	tfprotov6.ProviderServer

	kept context.Context //nolint:containedctx // that is what it is for
}

func (k *keeper) ValidateResourceConfig(ctx context.Context, _ *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) UpgradeResourceState(ctx context.Context, _ *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) UpgradeResourceIdentity(ctx context.Context, _ *tfprotov6.UpgradeResourceIdentityRequest) (*tfprotov6.UpgradeResourceIdentityResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) ReadResource(ctx context.Context, _ *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) PlanResourceChange(ctx context.Context, _ *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) ApplyResourceChange(ctx context.Context, _ *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) ValidateDataResourceConfig(ctx context.Context, _ *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) ReadDataSource(ctx context.Context, _ *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) CallFunction(ctx context.Context, _ *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) ValidateEphemeralResourceConfig(ctx context.Context, _ *tfprotov6.ValidateEphemeralResourceConfigRequest) (*tfprotov6.ValidateEphemeralResourceConfigResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) OpenEphemeralResource(ctx context.Context, _ *tfprotov6.OpenEphemeralResourceRequest) (*tfprotov6.OpenEphemeralResourceResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

func (k *keeper) CloseEphemeralResource(ctx context.Context, _ *tfprotov6.CloseEphemeralResourceRequest) (*tfprotov6.CloseEphemeralResourceResponse, error) {
	k.kept = ctx
	return nil, ctx.Err()
}

// TestServer_detachesContexts: what a call's context holds is let go of when the call is
// over, although the framework keeps the context.
func TestServer_detachesContexts(t *testing.T) {
	t.Parallel()
	type key struct{}
	k := &keeper{}
	s := server{ProviderServer: k}
	for name, call := range map[string]func(context.Context) error{
		"ValidateResourceConfig": func(ctx context.Context) error {
			_, err := s.ValidateResourceConfig(ctx, &tfprotov6.ValidateResourceConfigRequest{})
			return err
		},
		"UpgradeResourceState": func(ctx context.Context) error {
			_, err := s.UpgradeResourceState(ctx, &tfprotov6.UpgradeResourceStateRequest{})
			return err
		},
		"UpgradeResourceIdentity": func(ctx context.Context) error {
			_, err := s.UpgradeResourceIdentity(ctx, &tfprotov6.UpgradeResourceIdentityRequest{})
			return err
		},
		"ReadResource": func(ctx context.Context) error {
			_, err := s.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: "another"})
			return err
		},
		"PlanResourceChange": func(ctx context.Context) error {
			_, err := s.PlanResourceChange(ctx, &tfprotov6.PlanResourceChangeRequest{TypeName: "another"})
			return err
		},
		"ApplyResourceChange": func(ctx context.Context) error {
			_, err := s.ApplyResourceChange(ctx, &tfprotov6.ApplyResourceChangeRequest{})
			return err
		},
		"ValidateDataResourceConfig": func(ctx context.Context) error {
			_, err := s.ValidateDataResourceConfig(ctx, &tfprotov6.ValidateDataResourceConfigRequest{})
			return err
		},
		"ReadDataSource": func(ctx context.Context) error {
			_, err := s.ReadDataSource(ctx, &tfprotov6.ReadDataSourceRequest{})
			return err
		},
		"CallFunction": func(ctx context.Context) error {
			_, err := s.CallFunction(ctx, &tfprotov6.CallFunctionRequest{})
			return err
		},
		"ValidateEphemeralResourceConfig": func(ctx context.Context) error {
			_, err := s.ValidateEphemeralResourceConfig(ctx, &tfprotov6.ValidateEphemeralResourceConfigRequest{})
			return err
		},
		"OpenEphemeralResource": func(ctx context.Context) error {
			_, err := s.OpenEphemeralResource(ctx, &tfprotov6.OpenEphemeralResourceRequest{})
			return err
		},
		"CloseEphemeralResource": func(ctx context.Context) error {
			_, err := s.CloseEphemeralResource(ctx, &tfprotov6.CloseEphemeralResourceRequest{})
			return err
		},
	} {
		ctx := context.WithValue(t.Context(), key{}, "loggers")
		if err := call(ctx); err != nil {
			t.Errorf("%s: the context is over during the call: %v", name, err)
		}
		if k.kept.Value(key{}) != nil || k.kept.Err() == nil {
			t.Errorf("%s: the kept context still holds what the call's context held", name)
		}
	}
}
