package renderer

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/souk-shop/souk/gateway/internal/render"
	"github.com/souk-shop/souk/services/chassis/config"
)

// Lambda answers invocations of the Lambda runtime until ctx is done. It exports no
// telemetry: Lambda counts, times and logs invocations itself, and freezes the process between
// them.
func Lambda(ctx context.Context, cfg Config) error {
	if err := config.Complete(&cfg); err != nil {
		return err
	}
	draw, err := cfg.renderer()
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lambda.StartWithOptions(invoke(draw), lambda.WithContext(ctx)) // exits the process when the runtime is gone
	}()
	select {
	case <-ended:
		return errors.New("the Lambda runtime has ended")
	case <-ctx.Done():
		return nil
	}
}

// invoke answers an event of a function URL; an HTTP API of API Gateway sends the same.
func invoke(draw render.Renderer) func(context.Context, events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
	return func(_ context.Context, e events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
		method := e.RequestContext.HTTP.Method
		if method == "" {
			return events.LambdaFunctionURLResponse{}, errors.New("requestContext.http.method: is required: want an event of a function URL, payload format 2.0")
		}
		a := draw.Answer(render.Request{
			Method: method, Path: e.RawPath, Query: e.RawQueryString, IfNoneMatch: e.Headers["if-none-match"],
		})
		out := events.LambdaFunctionURLResponse{StatusCode: a.Status, Headers: a.Header}
		if method != http.MethodHead {
			out.Body = string(a.Body) // UTF-8, as the words are
		}
		return out, nil
	}
}
