package idptest

import (
	"slices"
	"strings"
	"testing"
)

// TestLongCurves: keys of both longer curves sign for apps that are set to their algorithm, as xmlsec1 sees it.
func TestLongCurves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for curve, hash := range map[string]string{"ecdsa-p384": "ecdsa-sha384", "ecdsa-p521": "ecdsa-sha512"} {
		t.Run("CRY-03 "+hash, func(t *testing.T) {
			kw := &keyWorld{world: w}
			kw.activate(t, kw.stage(t, curve))
			sp := w.newSP(t, hash)
			app := w.AddApp(t, sp.Metadata(), map[string]string{"saml.signature_algorithm": hash})
			r := w.send(t, w.ana(t), sp, Ask{ID: newRequestID()}, false).Response(t)
			certificate := PEMCertificates(t, []byte(w.browser(t).Get("/saml/metadata/"+app.ID).Body))[0]
			signed, err := w.xml.Verify(r.XML, []byte(certificate))
			if err != nil || !slices.Equal(signed, []string{"Response", "Assertion"}) || !strings.HasSuffix(r.Attr(".//SignatureMethod", "Algorithm"), "#"+hash) {
				t.Errorf("%v %v, %s", signed, err, r.Attr(".//SignatureMethod", "Algorithm"))
			}
			if err := w.xml.Validate(r.XML); err != nil {
				t.Error(err)
			}
		})
	}
}
