package ingress

import (
	"mailroom/ingress/guard"
	"mailroom/ingress/operator/codec"
	"mailroom/ingress/source"
	"mailroom/shared/config"
	"mailroom/shared/program"
	"mailroom/shared/rules"
)

// Check returns an *config.Invalid if Run would refuse the configuration. It connects to
// nothing and binds no port; of files it reads the certificate.
func Check(c program.Config) error {
	mistakes := append(source.Check(c.File), rules.Check(c.File)...)
	if _, err := addresses(c.Env, c.File); err != nil {
		mistakes = append(mistakes, c.File.Mistake(err.Error(), "sources"))
	}
	if tls := c.File.Ingress.TLS; tls.Certificate != "" {
		if err := guard.CheckCertificate(tls); err != nil {
			mistakes = append(mistakes, c.File.Mistake(err.Error(), "ingress", "tls"))
		}
	}
	return c.File.Invalid(append(mistakes, origins(c.File)...)...)
}

// origins checks the pages that may call the codec server.
func origins(file *config.File) []config.Mistake {
	var out []config.Mistake
	for i, text := range file.Operator.UIOrigins {
		if err := codec.CheckOrigin(text); err != nil {
			out = append(out, file.Mistake(err.Error(), "operator", "ui_origins", i))
		}
	}
	return out
}
