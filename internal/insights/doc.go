// Package insights computes figures about the desk's conversations: insights about transfers by agent, queue, channel
// and time, the statistics of TaskRouter, and the segments of Flex Insights. It reads and changes nothing.
package insights
