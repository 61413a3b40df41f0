package webhook

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/guard"
	"mailroom/ingress/source"
	"mailroom/shared/fault"
)

// buildEngine builds the engine with its routes: those of the listener itself and one per
// source. Handlers get request and writer and never the gin context, which gin reuses.
func (s *Server) buildEngine(sources []*source.Source) error {
	gin.SetMode(gin.ReleaseMode)
	s.engine = gin.New()
	if err := s.engine.SetTrustedProxies(nil); err != nil {
		return fmt.Errorf("trust no proxy: %w", err)
	}
	s.engine.HandleMethodNotAllowed = true
	s.engine.RedirectTrailingSlash = false

	s.engine.Use(s.observe, guard.Recover(s.logger, "ingress.panic", func(c *gin.Context, f *fault.Error) {
		s.receiver.rejectRequest(c.Writer, c.Request, nil, f)
	}))
	s.engine.NoRoute(func(c *gin.Context) {
		s.receiver.rejectRequest(c.Writer, c.Request, nil, fault.New(fault.NotFound, "there is nothing at this path"))
	})
	s.engine.NoMethod(func(c *gin.Context) {
		s.receiver.rejectRequest(c.Writer, c.Request, nil, fault.New(fault.MethodNotAllowed, "this path does not take this method"))
	})

	s.engine.GET("/healthz", func(c *gin.Context) { s.health.serveLive(c.Writer, c.Request) })
	s.engine.GET("/readyz", func(c *gin.Context) { s.health.serveReady(c.Writer, c.Request) })
	s.engine.GET("/schemas", func(c *gin.Context) { schemaIndex(c.Writer, c.Request) })
	s.engine.GET("/schemas/:name", func(c *gin.Context) {
		if !schemaFile(c.Writer, c.Request, c.Param("name")) {
			s.receiver.rejectRequest(c.Writer, c.Request, nil, fault.New(fault.NotFound, "there is no schema of this name"))
		}
	})

	taken := map[string]bool{"/healthz": true, "/readyz": true, "/schemas": true}
	for _, src := range sources {
		if taken[src.Path] {
			return fmt.Errorf("source %s: path %s is taken", src.Name, src.Path)
		}
		taken[src.Path] = true
		if err := s.addSource(src); err != nil {
			return err
		}
	}
	return nil
}

// addSource adds the route of one source.
func (s *Server) addSource(src *source.Source) error {
	s.metrics.initSource(src)
	gate, err := guard.NewGate(src.Config)
	if err != nil {
		return err
	}
	at := &endpoint{Source: src, gate: gate}
	s.engine.POST(src.Path, func(c *gin.Context) { s.receiver.serveWebhook(c.Writer, c.Request, at) })
	return nil
}
