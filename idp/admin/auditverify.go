package admin

import (
	"context"
	"encoding/hex"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/store"
)

// AuditHeads lists the chains with their ends, without verifying them.
func (a *Actions) AuditHeads(ctx context.Context) ([]api.AuditChain, error) {
	var reports []audit.Report
	err := a.view(ctx, func(tx store.Tx) (err error) {
		reports, err = audit.Heads(tx)
		return err
	})
	return wireChains(reports), err
}

// VerifyAudit reads every chain and tells whether all are whole. Head is a hash that was kept from an earlier look, or empty:
// then an audit that was cut off or written anew is found out too. It takes seconds for a million entries; the context may
// end it.
func (a *Actions) VerifyAudit(ctx context.Context, head string) (api.AuditVerification, error) {
	head = strings.ToLower(strings.TrimSpace(head))
	if hash, err := hex.DecodeString(head); head != "" && (err != nil || len(hash) != 32) {
		return api.AuditVerification{}, badValue("head", "%.80q is no head: give the 64 digits of one that an earlier verification printed.", head)
	}
	reports, err := audit.Verify(ctx, a.Store, head)
	if err != nil {
		return api.AuditVerification{}, worded(err)
	}
	answer := api.AuditVerification{Whole: true, Chains: wireChains(reports)}
	kept := false
	for _, report := range reports {
		answer.Whole = answer.Whole && report.Broken == 0
		kept = kept || report.Kept
	}
	if head != "" && !kept {
		answer.Whole = false
		answer.Problem = "No entry has the head that was kept: entries were cut off or written anew since, or retention has taken that entry."
	}
	return answer, nil
}

func wireChains(reports []audit.Report) []api.AuditChain {
	chains := make([]api.AuditChain, len(reports))
	for i, r := range reports {
		chains[i] = api.AuditChain{Node: r.Node, First: r.First, Last: r.Last, Count: r.Count, Head: r.Head, Broken: r.Broken, Problem: r.Problem}
	}
	return chains
}
