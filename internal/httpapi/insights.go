package httpapi

import (
	"regexp"
	"slices"
	"strings"
	"time"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/seclog"
)

func insightRoutes() []route {
	const segment = "A segment is a reservation that was accepted, and has its SID. "
	return []route{
		get(flex, "/v1/Insights/Segments", staff).says("Lists segments: each agent's turn with a conversation.").
			but(segment+"Without a parameter all are listed, oldest first. There are no teams, recordings or assessments.").
			with("SegmentId", "ReservationId").lists("segments", flexmodel.FlexV1InsightsSegments{}).by((*call).listSegments),
		get(flex, "/v1/Insights/Conversations", staff).says("Lists conversations with their segments, or the conversation of one segment.").
			but(segment+"Without a parameter, all conversations that an agent has accepted are listed, oldest first.").
			with("SegmentId").lists("conversations", flexmodel.FlexV1InsightsConversations{}).by((*call).listSegmentedConversations),
	}
}

// segmentsAsked reads which reservations' segments are requested. every is set if no parameter restricts them.
func (c *call) segmentsAsked() (sids []string, every bool, err error) {
	segment, err := c.sid("SegmentId", conversation.PrefixReservation)
	if err != nil {
		return nil, false, err
	}
	for _, given := range c.form["ReservationId"] {
		if !isSID(conversation.PrefixReservation, given) {
			return nil, false, c.wrong("ReservationId", "ReservationId has to be the SID of a reservation: %s and 32 hex digits", conversation.PrefixReservation)
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

func (c *call) listSegments() (any, error) {
	sids, every, err := c.segmentsAsked()
	if err != nil {
		return nil, err
	}
	c.settle()
	if !every {
		segments, err := insights.Segments(c.ctx, c.desk, sids...)
		if err != nil {
			return nil, err
		}
		return some(c, segments, c.renderSegment)
	}
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	c.security.Write(c.ctx, seclog.Entry{Event: seclog.Export, Subject: "insights", Reason: "segments"})
	found, err := insights.SegmentList(c.ctx, c.desk, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, found, c.renderSegment), nil
}

// phoneNumber matches a number in the format E.164, also with a provider's prefix, as whatsapp:+15551234567.
var phoneNumber = regexp.MustCompile(`^(?:[a-z]+:)?(\+[1-9][0-9]{5,14})$`)

func phoneOf(address string) *string {
	if found := phoneNumber.FindStringSubmatch(address); found != nil {
		return &found[1]
	}
	return nil
}

// instantFormat is the format in which Flex Insights writes timestamps.
const instantFormat = "2006-01-02T15:04:05.000Z"

func (c *call) renderSegment(s insights.Segment) whole[flexmodel.FlexV1InsightsSegments] {
	return all(flexmodel.FlexV1InsightsSegments{
		SegmentId: new(s.Reservation), ExternalId: new(s.Task), AccountId: new(c.account.SID),
		Date: new(s.AcceptedAt.UTC().Format(time.RFC3339)), Queue: new(s.QueueName),
		AgentId: new(conversation.AgentSID(s.Agent)), AgentName: new(s.AgentName),
		CustomerName: text(s.Customer.Name), CustomerPhone: phoneOf(s.Customer.Address), ExternalContact: text(s.Customer.Address),
		Url: new(c.url("v1", "Insights", "Segments") + "?SegmentId=" + s.Reservation),
	})
}

func (c *call) listSegmentedConversations() (any, error) {
	segment, err := c.sid("SegmentId", conversation.PrefixReservation)
	if err != nil {
		return nil, err
	}
	c.settle()
	if segment != "" {
		return c.conversationOfSegment(segment)
	}
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	c.security.Write(c.ctx, seclog.Entry{Event: seclog.Export, Subject: "insights", Reason: "conversations"})
	found, err := insights.SegmentsByConversation(c.ctx, c.desk, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, found, c.renderSegments), nil
}

func (c *call) conversationOfSegment(sid string) (any, error) {
	found, err := insights.Segments(c.ctx, c.desk, sid)
	if err != nil {
		return nil, err
	}
	conversations := [][]insights.Segment{}
	for _, segment := range found {
		segments, err := insights.SegmentsOf(c.ctx, c.desk, segment.Conversation)
		if err != nil {
			return nil, err
		}
		conversations = append(conversations, segments)
	}
	return some(c, conversations, c.renderSegments)
}

// renderSegments returns a conversation in the form of Flex Insights. A segment's offset is in seconds since the
// conversation began. Its talk time is in seconds until the agent's turn ended, or until now if it has not.
func (c *call) renderSegments(segments []insights.Segment) whole[flexmodel.FlexV1InsightsConversations] {
	shown := make([]any, len(segments))
	for i, s := range segments {
		ended := s.WrappingAt
		if ended.IsZero() {
			ended = c.now
		}
		shown[i] = map[string]any{
			"segment_id": s.Reservation, "order": i, "offset": s.AcceptedAt.Sub(s.BegunAt).Round(time.Millisecond).Seconds(),
			"talk_time": seconds(s.AcceptedAt, ended), "timestamp": s.AcceptedAt.UTC().Format(instantFormat), "agent_name": s.AgentName,
		}
	}
	return all(flexmodel.FlexV1InsightsConversations{
		AccountId: new(c.account.SID), ConversationId: new(segments[0].Conversation), SegmentCount: len(segments), Segments: &shown,
	})
}
