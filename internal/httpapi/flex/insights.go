package flex

import (
	"slices"
	"strings"
	"time"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/seclog"
)

func insightRoutes() []rest.Route {
	const segment = "A segment is a reservation that was accepted, and has its SID. "
	return []rest.Route{
		rest.Get("/v1/Insights/Segments", rest.Staff).Says("Lists segments: each agent's turn with a conversation.").
			But(segment+"Without a parameter all are listed, oldest first. There are no teams, recordings or assessments.").
			With("SegmentId", "ReservationId").Lists("segments", flexmodel.FlexV1InsightsSegments{}).By(listSegments),
		rest.Get("/v1/Insights/Conversations", rest.Staff).Says("Lists conversations with their segments, or the conversation of one segment.").
			But(segment+"Without a parameter, all conversations that an agent has accepted are listed, oldest first.").
			With("SegmentId").Lists("conversations", flexmodel.FlexV1InsightsConversations{}).By(listSegmentedConversations),
	}
}

// segmentsAsked reads which reservations' segments are requested. every is set if no parameter restricts them.
func segmentsAsked(c *rest.Call) (sids []string, every bool, err error) {
	segment, err := c.SID("SegmentId", conversation.PrefixReservation)
	if err != nil {
		return nil, false, err
	}
	for _, given := range c.Form["ReservationId"] {
		if !rest.IsSID(conversation.PrefixReservation, given) {
			return nil, false, c.Wrong("ReservationId", "ReservationId has to be the SID of a reservation: %s and 32 hex digits", conversation.PrefixReservation)
		}
		if sid := conversation.PrefixReservation + strings.ToLower(given[2:]); !slices.Contains(sids, sid) {
			sids = append(sids, sid)
		}
	}
	switch {
	case segment == "":
		return sids, len(sids) == 0, nil
	case len(sids) > 0 && !slices.Contains(sids, segment):
		return nil, false, nil
	}
	return []string{segment}, false, nil
}

func listSegments(c *rest.Call) (any, error) {
	sids, every, err := segmentsAsked(c)
	if err != nil {
		return nil, err
	}
	c.Settle()
	if !every {
		segments, err := insights.Segments(c.Ctx, c.Desk, sids...)
		if err != nil {
			return nil, err
		}
		return rest.Some(c, segments, func(s insights.Segment) any { return renderSegment(c, s) })
	}
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	c.Security.Write(c.Ctx, seclog.Entry{Event: seclog.Export, Subject: "insights", Reason: "segments"})
	found, err := insights.SegmentList(c.Ctx, c.Desk, page)
	if err != nil {
		return nil, err
	}
	return rest.List(c, page, found, func(s insights.Segment) any { return renderSegment(c, s) }), nil
}

// instantFormat is the format in which Flex Insights writes timestamps.
const instantFormat = "2006-01-02T15:04:05.000Z"

func renderSegment(c *rest.Call, s insights.Segment) rest.Whole[flexmodel.FlexV1InsightsSegments] {
	return rest.All(flexmodel.FlexV1InsightsSegments{
		SegmentId: new(s.Reservation), ExternalId: new(s.Task), AccountId: new(c.Account.SID),
		Date: new(s.AcceptedAt.UTC().Format(time.RFC3339)), Queue: new(s.QueueName),
		AgentId: new(conversation.AgentSID(s.Agent)), AgentName: new(s.AgentName),
		CustomerName: rest.Text(s.Customer.Name), CustomerPhone: rest.PhoneOf(s.Customer.Address), ExternalContact: rest.Text(s.Customer.Address),
		Url: new(c.URL("v1", "Insights", "Segments") + "?SegmentId=" + s.Reservation),
	})
}

func listSegmentedConversations(c *rest.Call) (any, error) {
	segment, err := c.SID("SegmentId", conversation.PrefixReservation)
	if err != nil {
		return nil, err
	}
	c.Settle()
	if segment != "" {
		return conversationOfSegment(c, segment)
	}
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	c.Security.Write(c.Ctx, seclog.Entry{Event: seclog.Export, Subject: "insights", Reason: "conversations"})
	found, err := insights.SegmentsByConversation(c.Ctx, c.Desk, page)
	if err != nil {
		return nil, err
	}
	return rest.List(c, page, found, func(s []insights.Segment) any { return renderSegments(c, s) }), nil
}

func conversationOfSegment(c *rest.Call, sid string) (any, error) {
	found, err := insights.Segments(c.Ctx, c.Desk, sid)
	if err != nil {
		return nil, err
	}
	conversations := [][]insights.Segment{}
	for _, segment := range found {
		segments, err := insights.SegmentsOf(c.Ctx, c.Desk, segment.Conversation)
		if err != nil {
			return nil, err
		}
		conversations = append(conversations, segments)
	}
	return rest.Some(c, conversations, func(s []insights.Segment) any { return renderSegments(c, s) })
}

// renderSegments returns a conversation in the form of Flex Insights. A segment's offset is in seconds since the
// conversation began. Its talk time is in seconds until the agent's turn ended, or until now if it has not.
func renderSegments(c *rest.Call, segments []insights.Segment) rest.Whole[flexmodel.FlexV1InsightsConversations] {
	shown := make([]any, len(segments))
	for i, s := range segments {
		ended := s.WrappingAt
		if ended.IsZero() {
			ended = c.Now
		}
		shown[i] = map[string]any{
			"segment_id": s.Reservation, "order": i, "offset": s.AcceptedAt.Sub(s.BegunAt).Round(time.Millisecond).Seconds(),
			"talk_time": rest.Seconds(s.AcceptedAt, ended), "timestamp": s.AcceptedAt.UTC().Format(instantFormat), "agent_name": s.AgentName,
		}
	}
	return rest.All(flexmodel.FlexV1InsightsConversations{
		AccountId: new(c.Account.SID), ConversationId: new(segments[0].Conversation), SegmentCount: len(segments), Segments: &shown,
	})
}
