// Shows each event to the test and does what the test answers: returns its body, or throws it.
const GENERATION = '1';

exports.handler = async (event, context) => {
    const answer = await fetch(process.env.DIRECTOR, {
        method: 'POST',
        headers: {
            'request-id': context.awsRequestId,
            'invoked-arn': context.invokedFunctionArn,
            version: context.functionVersion,
            generation: GENERATION,
        },
        body: JSON.stringify(event),
    });
    const text = await answer.text();
    if (answer.headers.get('act') === 'raise') throw new Error(text);
    return text ? JSON.parse(text) : undefined;
};
