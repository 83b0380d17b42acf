package codec_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"github.com/baton-transfers/baton/codec"
)

// BenchmarkCompress measures what compression would do to a conversation without keys, see
// docs/adr/0232-no-compression-without-keys.md.
func BenchmarkCompress(b *testing.B) {
	file, err := os.Open("../workflows/testdata/histories/fewer_timers_transfer_to_queue.json")
	require.NoError(b, err)
	defer file.Close()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	require.NoError(b, err)
	payloads := payloadsOf(b, history)
	var before, after, snapshots int
	var large [][]byte
	for _, payload := range payloads {
		plain, err := proto.Marshal(payload)
		require.NoError(b, err)
		short, err := codec.Compress(plain)
		require.NoError(b, err)
		before, after = before+len(plain), after+len(short)
		if len(short) < len(plain) {
			large = append(large, plain)
			snapshots += len(plain)
		}
	}
	for b.Loop() {
		for _, plain := range large {
			if _, err := codec.Compress(plain); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(proto.Size(history)), "history-bytes")
	b.ReportMetric(float64(before), "payload-bytes")
	b.ReportMetric(float64(after), "compressed-bytes")
	b.ReportMetric(float64(snapshots), "bytes-worth-compressing")
	b.ReportMetric(float64(len(large)), "payloads-worth-compressing")
}

// payloadsOf returns all payloads of a history.
func payloadsOf(tb testing.TB, history *historypb.History) []*commonpb.Payload {
	tb.Helper()
	var all []*commonpb.Payload
	require.NoError(tb, proxy.VisitPayloads(tb.Context(), history, proxy.VisitPayloadsOptions{
		Visitor: func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			all = append(all, payloads...)
			return payloads, nil
		},
	}))
	return all
}
