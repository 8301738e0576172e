module github.com/autodevops/terraform-provider-autodevops/internal/e2e/parts/gitlab-clients

go 1.26.6

require (
	github.com/hashicorp/go-retryablehttp v0.7.8
	gitlab.com/gitlab-org/api/client-go v0.115.0
)

require (
	github.com/golang/protobuf v1.5.3 // indirect
	github.com/google/go-querystring v1.1.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	golang.org/x/net v0.8.0 // indirect
	golang.org/x/oauth2 v0.6.0 // indirect
	golang.org/x/time v0.3.0 // indirect
	google.golang.org/appengine v1.6.7 // indirect
	google.golang.org/protobuf v1.29.1 // indirect
)

// The client before it moved. It declares its old path.
replace gitlab.com/gitlab-org/api/client-go => github.com/xanzy/go-gitlab v0.115.0
